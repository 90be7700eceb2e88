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

// Some rows of a picture with a border of NaN around them.
class Framed {
 public:
  static constexpr int64_t border = 2;
  Framed(int64_t height, int64_t width)
      : stride(width + 2 * border), values_((height + 2 * border) * stride, kNan) {}
  float* row(int64_t y) { return values_.data() + (y + border) * stride + border; }

  const int64_t stride;

 private:
  std::vector<float> values_;
};

VMEM_CLONES void invert(const float* depth, int64_t n, float* inverse) {
  for (int64_t i = 0; i < n; ++i) inverse[i] = 1 / depth[i];
}

VMEM_CLONES void remove(const float* whole, const uint8_t* removed, int64_t n, float* inverse) {
  for (int64_t i = 0; i < n; ++i) inverse[i] = removed[i] ? kNan : whole[i];
}

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

// Writes where a line has neighbours that are nearer, and some that are farther, by more than a share.
//
// nearest and farthest [width + 2]: of three pixels above each other, from the one before the line on.
VMEM_INLINE void find_between(const float* __restrict own, const float* __restrict nearest,
                              const float* __restrict farthest, int64_t width, float share, uint8_t* __restrict between) {
  for (int64_t x = 0; x < width; ++x) {
    const float right = nearest[x + 1] > nearest[x + 2] ? nearest[x + 1] : nearest[x + 2];
    const float most = nearest[x] > right ? nearest[x] : right;
    const float far_right = farthest[x + 1] < farthest[x + 2] ? farthest[x + 1] : farthest[x + 2];
    const float least = farthest[x] < far_right ? farthest[x] : far_right;
    between[x] = (most > own[x] * (1 + share)) & (least < own[x] * (1 - share));
  }
}

// Writes whether a pixel flies to removed [height, width].
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
    find_between(own, nearest.data(), farthest.data(), width, share, between.data());
    for (int64_t x = 0; x < width; ++x) {
      removed[y * width + x] =
          between[x] && flies(own + x, inverse.stride, surface.limit(own[x], 1, how.flying_tangent), how);
    }
  }
}

// A pixel in a gap, and what rows and columns say of it.
struct Gap {
  int32_t x, y;
  float total;
  int32_t count;
};

// Which pixels are known, in bytes, with a border around them that is not: as wide as gaps that are closed.
struct Known {
  int64_t border, stride;
  std::vector<uint8_t> bytes;
  uint8_t* row(int64_t y) { return bytes.data() + (y + border) * stride + border; }
};

// Writes to closed [width] where a line of pixels, `step` apart, has known ones before and after it that leave a gap of
// `widest` between them at most.
VMEM_INLINE void find_closed(const uint8_t* known, int64_t width, int64_t step, int64_t widest, uint8_t* reached,
                             uint8_t* closed) {
  std::fill_n(reached, width, 0);
  for (int64_t before = widest; before > 0; --before) {
    const uint8_t *first = known - before * step, *last = known + (widest + 1 - before) * step;
    for (int64_t x = 0; x < width; ++x) {
      reached[x] |= last[x];
      closed[x] |= first[x] & reached[x];
    }
  }
}

// Adds the pixels of gaps that are narrow in a row or a column, but for those that stay unknown.
VMEM_CLONES void find_gaps(Known& map, const uint8_t* edges, int64_t height, int64_t width, int64_t widest,
                           std::vector<Gap>& gaps) {
  std::vector<uint8_t> reached(width), closed(width);
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t *row = map.row(y), *edge = edges + y * width;
    std::fill(closed.begin(), closed.end(), 0);
    find_closed(row, width, 1, widest, reached.data(), closed.data());
    find_closed(row, width, map.stride, widest, reached.data(), closed.data());
    for (int64_t x = 0; x < width; ++x) closed[x] &= (row[x] | edge[x]) ^ 1;
    constexpr int64_t at_once = 32;
    for (int64_t first = 0; first < width; first += at_once) {
      const int64_t end = std::min(first + at_once, width);
      uint8_t any = 0;
      for (int64_t x = first; x < end; ++x) any |= closed[x];
      for (int64_t x = first; any && x < end; ++x) {
        if (closed[x]) gaps.push_back({static_cast<int32_t>(x), static_cast<int32_t>(y), 0, 0});
      }
    }
  }
}

VMEM_CLONES void note_known(const float* inverse, int64_t width, uint8_t* row) {
  for (int64_t x = 0; x < width; ++x) row[x] = known(inverse[x]);
}

// Lets the row, or the column, of a gap's pixel say what lies between the ends of the gap, if it is narrow there.
//
// here: inverse depth of the pixel, in lines whose pixels are `step` apart; there: in the map of what is known.
VMEM_INLINE void ask_line(const float* here, int64_t step, const uint8_t* there, int64_t map_step, Gap& gap,
                          const OneSurface& surface, const VmemCleaning& how) {
  int64_t before = 1, after = 1;
  while (before <= how.widest && !there[-before * map_step]) ++before;
  while (before + after <= how.widest + 1 && !there[after * map_step]) ++after;
  if (before + after > how.widest + 1) return;
  const float first = here[-before * step], last = here[after * step];
  const float pixels = static_cast<float>(before + after), share = static_cast<float>(before) / pixels;
  const bool on_one = std::min(first, last) > 0 &&
                      std::abs(first - last) <= surface.limit(std::max(first, last), pixels, how.gap_tangent);
  gap.total += on_one ? first * (1 - share) + last * share : kNan;
  ++gap.count;
}

void close_gaps(float* inverse, int64_t height, int64_t width, const uint8_t* edges, const OneSurface& surface,
                const VmemCleaning& how) {
  if (!how.widest) return;
  Known map{how.widest, width + 2 * how.widest, {}};
  map.bytes.assign((height + 2 * how.widest) * map.stride, 0);
  for (int64_t y = 0; y < height; ++y) note_known(inverse + y * width, width, map.row(y));
  std::vector<Gap> gaps;
  for (int64_t round = 0; round < how.rounds; ++round) {
    gaps.clear();
    find_gaps(map, edges, height, width, how.widest, gaps);
    for (Gap& gap : gaps) {
      const float* here = inverse + gap.y * width + gap.x;
      const uint8_t* there = map.row(gap.y) + gap.x;
      ask_line(here, 1, there, 1, gap, surface, how);
      ask_line(here, width, there, map.stride, gap, surface, how);
    }
    for (const Gap& gap : gaps) {
      float& here = inverse[gap.y * width + gap.x];
      here = gap.total / static_cast<float>(gap.count);
      map.row(gap.y)[gap.x] = known(here);
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

// Returns the confidence of readings by their depth and slant, of each cell.
VMEM_CLONES std::vector<float> rate(const float* inverse, int64_t height, int64_t width, float fx, float fy, float cx,
                                    float cy, const VmemSensor& sensor, const VmemCleaning& how) {
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
  return each;
}

// Where a pixel lies between the middles of cells: the share of the second of two of n cells.
VMEM_INLINE float between_cells(int64_t at, float side, int64_t n, int64_t& first, int64_t& second) {
  const float where = std::max((static_cast<float>(at) + 0.5f) / side - 0.5f, 0.0f);
  first = std::min(static_cast<int64_t>(where), n - 1);
  second = std::min(first + 1, n - 1);
  return where - static_cast<float>(first);
}

// Finishes a line between two lines of cells, `upper` and `lower`.
VMEM_INLINE void finish_line(const float* __restrict depth, const float* __restrict inverse,
                             const uint8_t* __restrict removed, const float* __restrict upper,
                             const float* __restrict lower, float share, int64_t width, float of_closed,
                             float* __restrict cleaned, float* __restrict confidence) {
  for (int64_t x = 0; x < width; ++x) {
    const float filled = 1 / inverse[x];  // not a number where nothing closed it
    const int32_t read = (depth[x] == depth[x]) & (removed[x] == 0);
    const int32_t closed = (read == 0) & (inverse[x] == inverse[x]);
    cleaned[x] = read ? depth[x] : filled;
    const float trust = (upper[x] * (1 - share) + lower[x] * share) * (closed ? of_closed : 1.0f);
    confidence[x] = (cleaned[x] > 0) & (cleaned[x] < kInfinity) ? trust : 0;
  }
}

// Finishes the rows from `top` up to `bottom`: depth is what was read, or what a gap was closed with, and confidence that
// of the cells around, linear between their middles.
VMEM_CLONES void finish(const float* depth, const float* inverse, const uint8_t* removed, const float* cells,
                        int64_t top, int64_t bottom, int64_t height, int64_t width, const VmemCleaning& how,
                        float* cleaned, float* confidence) {
  const int64_t rows = (height + how.cell - 1) / how.cell, columns = (width + how.cell - 1) / how.cell;
  const float side = static_cast<float>(how.cell);
  // Two rows of cells, as wide as the picture.
  std::vector<float> lines[2] = {std::vector<float>(width), std::vector<float>(width)};
  int64_t in_lines[2] = {-1, -1};
  const auto widened = [&](int64_t row) {
    std::vector<float>& line = lines[row & 1];
    if (in_lines[row & 1] != row) {
      in_lines[row & 1] = row;
      for (int64_t x = 0; x < width; ++x) {
        int64_t first, second;
        const float share = between_cells(x, side, columns, first, second);
        line[x] = cells[row * columns + first] * (1 - share) + cells[row * columns + second] * share;
      }
    }
    return line.data();
  };
  for (int64_t y = top; y < bottom; ++y) {
    int64_t first, second;
    const float share = between_cells(y, side, rows, first, second);
    const float *upper = widened(first), *lower = widened(second);
    const int64_t line = y * width;
    finish_line(depth + line, inverse + line, removed + line, upper, lower, share, width, how.closed, cleaned + line,
                confidence + line);
  }
}

}  // namespace

// Cleans depth [height, width] into cleaned, likewise, and writes how much each pixel is to be trusted.
extern "C" void vmem_clean_depth(const float* depth, int64_t height, int64_t width, float fx, float fy, float cx,
                                 float cy, const VmemSensor* sensor, const VmemCleaning* how, float* cleaned,
                                 float* confidence, int64_t threads) {
  const OneSurface surface{*sensor, std::sqrt(fx * fy)};
  // Kept for the next picture: fresh pages would cost as much as what is done with them.
  static thread_local std::vector<float> inverse;
  static thread_local std::vector<uint8_t> removed;
  inverse.resize(height * width);
  removed.assign(height * width, 0);
  // In fewer pixels another thread has not begun before all is done.
  constexpr int64_t rows_at_once = 32, least_pixels = 1 << 18;
  if (height * width < least_pixels) threads = 1;
  const int64_t bands = (height + rows_at_once - 1) / rows_at_once;
  float* const whole = inverse.data();
  uint8_t* const gone = removed.data();
  vmem::in_parallel(bands, threads, [&](int64_t band) {
    const int64_t top = band * rows_at_once, bottom = std::min(top + rows_at_once, height);
    if (!how->remove_flying) return invert(depth + top * width, (bottom - top) * width, whole + top * width);
    Framed framed(bottom - top, width);
    for (int64_t y = std::max(top - Framed::border, int64_t{0}); y < std::min(bottom + Framed::border, height); ++y) {
      invert(depth + y * width, width, framed.row(y - top));
    }
    uint8_t* flying = gone + top * width;
    find_flying(framed, bottom - top, width, surface, *how, flying);
    for (int64_t y = 0; y < bottom - top; ++y) {
      remove(framed.row(y), flying + y * width, width, whole + (top + y) * width);
    }
  });
  close_gaps(whole, height, width, gone, surface, *how);
  const std::vector<float> cells = rate(whole, height, width, fx, fy, cx, cy, *sensor, *how);
  vmem::in_parallel(bands, threads, [&](int64_t band) {
    const int64_t top = band * rows_at_once, bottom = std::min(top + rows_at_once, height);
    finish(depth, whole, gone, cells.data(), top, bottom, height, width, *how, cleaned, confidence);
  });
}
