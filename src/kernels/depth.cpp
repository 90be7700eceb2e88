// Depth as a sensor measured it, cleaned: what clean_depth in vmem_ros/pointmaps/sensor_cleaning.py says.

#include <cmath>
#include <limits>

#include "machine.hpp"

extern "C" {

struct VmemSensor {
  float floor_m, triangulation, light, spread;  // see vmem_ros/geometry/depth_noise.py
  float least_cosine;
  float deviations;  // by how many standard deviations two readings of one surface differ at most
};

struct VmemCleaning {
  int64_t remove_flying;           // or 0
  float flying_tangent, flatter;   // the steepest surface; beside a gap
  int64_t fewest;                  // neighbours on the same surface
  int64_t widest, rounds;          // gaps that are closed, in pixels
  float gap_tangent;               // the steepest surface along which they are
  int64_t cell;                    // pixels a side of what a slant is measured on
  float pose_sigma, least, closed;  // of confidence
  float same_surface;              // depth of one neighbour over the other's, at most
};
}

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();

VMEM_INLINE bool known(float value) { return value == value; }

VMEM_INLINE float sigma_of(const VmemSensor& sensor, float depth, float cosine) {
  cosine = std::max(cosine, sensor.least_cosine);
  const float squared = depth * depth;
  const float across = sensor.triangulation * squared, returned = sensor.light * squared / cosine;
  const float slanted = depth * sensor.spread * std::sqrt(std::max(1 - cosine * cosine, 0.0f)) / cosine;
  return std::sqrt(sensor.floor_m * sensor.floor_m + across * across + returned * returned + slanted * slanted);
}

// By how much inverse depths of one surface differ over some pixels.
struct OneSurface {
  const VmemSensor& sensor;
  float focal;
  VMEM_INLINE float limit(float inverse, float pixels, float tangent) const {
    const float noise = sensor.deviations * sigma_of(sensor, 1 / inverse, 1) * inverse;
    return inverse * std::max(tangent * pixels / focal, noise);
  }
};

// A picture with a border of NaN around it.
class Framed {
 public:
  static constexpr int64_t border = 2;
  Framed(const float* values, int64_t height, int64_t width)
      : stride(width + 2 * border), values_((height + 2 * border) * stride, kNan) {
    for (int64_t y = 0; y < height; ++y) std::copy_n(values + y * width, width, row(y));
  }
  float* row(int64_t y) { return values_.data() + (y + border) * stride + border; }

  const int64_t stride;

 private:
  std::vector<float> values_;
};

// Whether a reading, whose neighbours are nearer and farther than it, lies between two surfaces.
VMEM_INLINE bool flies(const float* here, int64_t stride, float limit, const VmemCleaning& how) {
  const float own = *here;
  int64_t supports = 0;
  bool nearer = false, farther = false, on_step = false;
  for (const int64_t step : {int64_t{1}, stride, stride + 1, stride - 1}) {
    const float before = own - here[-step], after = here[step] - own;
    const float rises[2][2] = {{-before, after}, {after, -before}};
    for (const auto& [rise, opposite] : rises) {
      supports += std::abs(known(rise) ? rise : opposite) <= limit;
      nearer |= rise > limit;
      farther |= rise < -limit;
    }
    if (before * after > 0 && std::abs(before) > limit && std::abs(after) > limit) {
      on_step |= std::abs(here[-step] - here[-2 * step]) < how.flatter * std::abs(before);
      on_step |= std::abs(here[2 * step] - here[step]) < how.flatter * std::abs(after);
    }
  }
  return nearer && farther && (supports < how.fewest || on_step);
}

// Writes 1 to removed [height, width] where a pixel flies.
VMEM_CLONES void find_flying(Framed& inverse, int64_t height, int64_t width, const OneSurface& surface,
                             const VmemCleaning& how, uint8_t* removed) {
  const float share = how.flying_tangent / surface.focal;
  const int64_t around = width + 2;
  std::vector<float> nearest(around), farthest(around);
  std::vector<uint8_t> between(width);
  for (int64_t y = 0; y < height; ++y) {
    const float* rows[3] = {inverse.row(y - 1) - 1, inverse.row(y) - 1, inverse.row(y + 1) - 1};
    for (int64_t x = 0; x < around; ++x) {
      float most = 0, least = kInfinity;
      for (const float* row : rows) {
        most = row[x] > most ? row[x] : most;
        least = row[x] < least ? row[x] : least;
      }
      nearest[x] = most;
      farthest[x] = least;
    }
    const float* own = inverse.row(y);
    for (int64_t x = 0; x < width; ++x) {
      const float most = std::max(std::max(nearest[x], nearest[x + 1]), nearest[x + 2]);
      const float least = std::min(std::min(farthest[x], farthest[x + 1]), farthest[x + 2]);
      between[x] = (most > own[x] * (1 + share)) & (least < own[x] * (1 - share));
    }
    for (int64_t x = 0; x < width; ++x) {
      if (between[x]) {
        removed[y * width + x] = flies(own + x, inverse.stride, surface.limit(own[x], 1, how.flying_tangent), how);
      }
    }
  }
}

// Gaps of a line of pixels that are being closed: the sum of what its directions say, and how many have said something.
struct Closing {
  std::vector<float> total;
  std::vector<uint8_t> count;
};

// Closes the gap between pixels `first` and `last`, `step` apart from one to the next.
VMEM_INLINE void close_between(const float* inverse, const uint8_t* edges, int64_t first, int64_t last, int64_t step,
                          const OneSurface& surface, float tangent, Closing& closing) {
  const float before = inverse[first], after = inverse[last];
  const float pixels = static_cast<float>((last - first) / step);
  const bool on_one = std::min(before, after) > 0 &&
                      std::abs(before - after) <= surface.limit(std::max(before, after), pixels, tangent);
  for (int64_t pixel = first + step; pixel < last; pixel += step) {
    if (edges[pixel]) continue;
    const float share = static_cast<float>((pixel - first) / step) / pixels;
    closing.total[pixel] += on_one ? before * (1 - share) + after * share : kNan;
    ++closing.count[pixel];
  }
}

VMEM_CLONES void close_gaps(float* inverse, int64_t height, int64_t width, const uint8_t* edges, const OneSurface& surface,
                const VmemCleaning& how) {
  Closing closing;
  std::vector<int64_t> above(width);
  for (int64_t round = 0; round < (how.widest ? how.rounds : 0); ++round) {
    closing.total.assign(height * width, 0);
    closing.count.assign(height * width, 0);
    // Known pixels before, or so far away that no gap from there is closed.
    const int64_t none = -how.widest - 2;
    std::fill(above.begin(), above.end(), none);
    for (int64_t y = 0; y < height; ++y) {
      int64_t before = none;
      for (int64_t x = 0; x < width; ++x) {
        const int64_t pixel = y * width + x;
        if (!known(inverse[pixel])) continue;
        if (x - before > 1 && x - before <= how.widest + 1) {
          close_between(inverse, edges, pixel - (x - before), pixel, 1, surface, how.gap_tangent, closing);
        }
        if (y - above[x] > 1 && y - above[x] <= how.widest + 1) {
          close_between(inverse, edges, pixel - (y - above[x]) * width, pixel, width, surface, how.gap_tangent,
                        closing);
        }
        before = x;
        above[x] = y;
      }
    }
    for (int64_t pixel = 0; pixel < height * width; ++pixel) {
      const float value = closing.total[pixel] / static_cast<float>(closing.count[pixel]);
      inverse[pixel] = closing.count[pixel] ? value : inverse[pixel];
    }
  }
}

struct Point {
  float x, y, z;
};

// The mean of the steps before -> here -> after that stay on one surface; NaN where none does.
VMEM_INLINE Point slope(const Point& before, const Point& here, const Point& after, float same_surface) {
  Point total{0, 0, 0};
  float count = 0;
  const Point* steps[2][2] = {{&before, &here}, {&here, &after}};
  for (const auto& [first, second] : steps) {
    const float ratio = second->z / first->z;
    if (first == second || !(ratio < same_surface && ratio > 1 / same_surface)) continue;
    total = {total.x + second->x - first->x, total.y + second->y - first->y, total.z + second->z - first->z};
    ++count;
  }
  return count > 0 ? Point{total.x / count, total.y / count, total.z / count} : Point{kNan, kNan, kNan};
}

// Returns the cosine between the ray through a point and the normal of the surface with two slopes; 0 without one.
VMEM_INLINE float cosine_of(const Point& point, const Point& du, const Point& dv) {
  const Point cross{du.y * dv.z - du.z * dv.y, du.z * dv.x - du.x * dv.z, du.x * dv.y - du.y * dv.x};
  const float length = std::sqrt(cross.x * cross.x + cross.y * cross.y + cross.z * cross.z);
  const float ray = std::sqrt(point.x * point.x + point.y * point.y + point.z * point.z);
  const float cosine = std::abs(cross.x * point.x + cross.y * point.y + cross.z * point.z) / (length * ray);
  return known(cosine) ? cosine : 0;
}

// Writes the confidence of readings by the depth and slant of the cells around them.
VMEM_CLONES void rate(const float* inverse, int64_t height, int64_t width, float fx, float fy, float cx, float cy,
                      const VmemSensor& sensor, const VmemCleaning& how, float* confidence) {
  const int64_t cell = how.cell, rows = (height + cell - 1) / cell, columns = (width + cell - 1) / cell;
  const float side = static_cast<float>(cell);
  std::vector<Point> points(rows * columns);
  // Whole cells, so that sums over the last one stay within.
  std::vector<float> total(columns * cell), count(columns * cell), each(rows * columns);
  for (int64_t row = 0; row < rows; ++row) {
    std::fill(total.begin(), total.end(), 0);
    std::fill(count.begin(), count.end(), 0);
    for (int64_t y = row * cell; y < std::min((row + 1) * cell, height); ++y) {
      const float* line = inverse + y * width;
      for (int64_t x = 0; x < width; ++x) {
        total[x] += line[x] > 0 ? line[x] : 0.0f;
        count[x] += line[x] > 0 ? 1.0f : 0.0f;
      }
    }
    for (int64_t column = 0; column < columns; ++column) {
      for (int64_t x = 1; x < cell; ++x) {
        total[column * cell] += total[column * cell + x];
        count[column * cell] += count[column * cell + x];
      }
      total[column] = total[column * cell];
      count[column] = count[column * cell];
    }
    for (int64_t column = 0; column < columns; ++column) {
      const float z = count[column] / total[column];
      points[row * columns + column] = {z * (static_cast<float>(column) + 0.5f - cx / side) / (fx / side),
                                        z * (static_cast<float>(row) + 0.5f - cy / side) / (fy / side), z};
    }
  }
  const float squared = how.pose_sigma * how.pose_sigma;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      const Point* here = &points[row * columns + column];
      const Point du = slope(here[column > 0 ? -1 : 0], *here, here[column + 1 < columns ? 1 : 0], how.same_surface);
      const Point dv =
          slope(here[row > 0 ? -columns : 0], *here, here[row + 1 < rows ? columns : 0], how.same_surface);
      const float sigma = sigma_of(sensor, here->z, cosine_of(*here, du, dv));
      const float value = squared / (squared + sigma * sigma);
      each[row * columns + column] = value > how.least ? value : how.least;
    }
  }
  // Linear between the middles of cells.
  std::vector<float> line(columns);
  const auto place = [&](int64_t at, int64_t n, int64_t& first, int64_t& second) {
    const float where = std::max((static_cast<float>(at) + 0.5f) / side - 0.5f, 0.0f);
    first = std::min(static_cast<int64_t>(where), n - 1);
    second = std::min(first + 1, n - 1);
    return where - static_cast<float>(first);
  };
  std::vector<int64_t> left(width), right(width);
  std::vector<float> shares(width);
  for (int64_t x = 0; x < width; ++x) shares[x] = place(x, columns, left[x], right[x]);
  for (int64_t y = 0; y < height; ++y) {
    int64_t first, second;
    const float share = place(y, rows, first, second);
    for (int64_t column = 0; column < columns; ++column) {
      line[column] = each[first * columns + column] * (1 - share) + each[second * columns + column] * share;
    }
    for (int64_t x = 0; x < width; ++x) {
      confidence[y * width + x] = line[left[x]] * (1 - shares[x]) + line[right[x]] * shares[x];
    }
  }
}

VMEM_CLONES void clean(const float* depth, int64_t height, int64_t width, float fx, float fy, float cx, float cy,
                       const VmemSensor& sensor, const VmemCleaning& how, float* cleaned, float* confidence) {
  const int64_t size = height * width;
  std::vector<float> inverse(size);
  std::vector<uint8_t> removed(size, 0);
  for (int64_t pixel = 0; pixel < size; ++pixel) inverse[pixel] = 1 / depth[pixel];
  const OneSurface surface{sensor, std::sqrt(fx * fy)};
  if (how.remove_flying) {
    Framed framed(inverse.data(), height, width);
    find_flying(framed, height, width, surface, how, removed.data());
    for (int64_t pixel = 0; pixel < size; ++pixel) inverse[pixel] = removed[pixel] ? kNan : inverse[pixel];
  }
  close_gaps(inverse.data(), height, width, removed.data(), surface, how);
  rate(inverse.data(), height, width, fx, fy, cx, cy, sensor, how, confidence);
  for (int64_t pixel = 0; pixel < size; ++pixel) {
    const bool read = known(depth[pixel]) & !removed[pixel], closed = !read & known(inverse[pixel]);
    const float filled = 1 / inverse[pixel];  // not a number where nothing closed it
    cleaned[pixel] = read ? depth[pixel] : filled;
    confidence[pixel] *= closed ? how.closed : 1.0f;
  }
}

}  // namespace

// Cleans depth [height, width] into cleaned, likewise, and writes how much each pixel is to be trusted.
extern "C" void vmem_clean_depth(const float* depth, int64_t height, int64_t width, float fx, float fy, float cx,
                                 float cy, const VmemSensor* sensor, const VmemCleaning* how, float* cleaned,
                                 float* confidence) {
  clean(depth, height, width, fx, fy, cx, cy, *sensor, *how, cleaned, confidence);
}
