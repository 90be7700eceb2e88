// Surfels of one view: what sample_surfels in vmem_ros/memory/surfel/extraction.py says.

#include <cmath>

#include "machine.hpp"
#include "surfels.hpp"

using namespace vmem;

extern "C" {

struct VmemPointMap {
  const float* points;      // [height, width, 3] in the optical frame; or null: they follow from
  const float* depth;       // [height, width], NaN where it is not known, and
  const float *x, *y;       // [width] and [height] of the rays through pixel centres, at z = 1
  const float* confidence;  // [height, width]
  const uint8_t* known;     // [height, width]: makes no surfel; or null
  const uint8_t* image;     // [height, width, 3]
  int64_t height, width;
};

struct VmemSampling {
  const int64_t* rows;     // [n_rows] of pixels that may become surfels
  const int64_t* columns;  // [n_columns]
  int64_t n_rows, n_columns, patch_rows, patch_columns;
  float least_confidence;  // 0: any at all
  float alpha, focal;      // of the radius
  float same_surface;      // depth of one neighbour over the other's, at most
};

struct VmemSampled {
  float* position;  // [n_rows * n_columns, 3]
  float* normal;    // likewise
  float* radius;    // [n_rows * n_columns]
  uint8_t* color;   // [n_rows * n_columns, 3]
};
}

namespace {

inline Vector minus(const Vector& a, const Vector& b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }

inline Vector cross(const Vector& a, const Vector& b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

inline bool finite(const Vector& v) { return std::isfinite(v.x) && std::isfinite(v.y) && std::isfinite(v.z); }

class Slopes {
 public:
  Slopes(const VmemPointMap& map, float same_surface) : map_(map), same_surface_(same_surface) {}

  Vector at(int64_t v, int64_t u) const {
    v = std::min(std::max(v, int64_t{0}), map_.height - 1);
    u = std::min(std::max(u, int64_t{0}), map_.width - 1);
    const int64_t pixel = v * map_.width + u;
    if (!map_.points) {
      const float z = map_.depth[pixel];
      return {map_.x[u] * z, map_.y[v] * z, z};
    }
    const float* p = map_.points + 3 * pixel;
    return {p[0], p[1], p[2]};
  }

  // Returns whether a pixel has a normal, and it.
  bool normal(int64_t v, int64_t u, Vector& out) const {
    const Vector here = at(v, u);
    Vector du, dv;
    if (!mean(at(v, u - 1), here, at(v, u + 1), du) || !mean(at(v - 1, u), here, at(v + 1, u), dv)) return false;
    const Vector n = cross(du, dv);
    const float length = std::sqrt(dot(n, n));
    if (!(length > 1e-6f * std::sqrt(dot(du, du)) * std::sqrt(dot(dv, dv)))) return false;
    out = {n.x / length, n.y / length, n.z / length};
    if (dot(out, here) > 0) out = {-out.x, -out.y, -out.z};
    return finite(out);
  }

 private:
  // The mean of the steps before -> here -> after that stay on one surface. Beyond the border a pixel is its own
  // neighbour, and that step has no length.
  bool mean(const Vector& before, const Vector& here, const Vector& after, Vector& out) const {
    Vector total{0, 0, 0};
    float count = 0;
    const Vector* steps[2][2] = {{&before, &here}, {&here, &after}};
    for (const auto& [first, second] : steps) {
      const float ratio = second->z / first->z;
      const Vector step = minus(*second, *first);
      if (!(ratio < same_surface_ && ratio > 1 / same_surface_)) continue;
      if (step.x == 0 && step.y == 0 && step.z == 0) continue;
      total = {total.x + step.x, total.y + step.y, total.z + step.z};
      ++count;
    }
    if (count > 0) out = {total.x / count, total.y / count, total.z / count};
    return count > 0;
  }

  const VmemPointMap& map_;
  const float same_surface_;
};

}  // namespace

// Writes the surfels, patch after patch, and returns how many there are.
extern "C" int64_t vmem_sample_surfels(const VmemPointMap* map, const VmemSampling* how, const VmemSampled* out,
                                       int64_t threads) {
  const Slopes slopes(*map, how->same_surface);
  // Each row of patches writes where it would, were all of its pixels and of those before it surfels.
  const int64_t parts = ceiling(how->n_rows, how->patch_rows);
  std::vector<int64_t> counts(parts);
  vmem::in_parallel(parts, threads, [&](int64_t part) {
    const int64_t top = part * how->patch_rows, bottom = std::min(top + how->patch_rows, how->n_rows);
    int64_t next = top * how->n_columns;
    const auto add = [&](int64_t v, int64_t u) {
      const int64_t pixel = v * map->width + u;
      const float confidence = map->confidence[pixel];
      if (how->least_confidence > 0 ? !(confidence >= how->least_confidence) : !(confidence > 0)) return;
      if (map->known && map->known[pixel]) return;
      const Vector point = slopes.at(v, u);
      Vector normal;
      if (!finite(point) || !slopes.normal(v, u, normal)) return;
      const float cosine = std::abs(dot(normal, point)) / std::sqrt(dot(point, point));
      const float position[3] = {point.x, point.y, point.z}, facing[3] = {normal.x, normal.y, normal.z};
      std::copy_n(position, 3, out->position + 3 * next);
      std::copy_n(facing, 3, out->normal + 3 * next);
      std::copy_n(map->image + 3 * pixel, 3, out->color + 3 * next);
      out->radius[next++] = 0.5f * (point.z / how->focal) / (how->alpha + (1 - how->alpha) * cosine);
    };
    for (int64_t left = 0; left < how->n_columns; left += how->patch_columns) {
      for (int64_t row = top; row < bottom; ++row) {
        for (int64_t column = left; column < std::min(left + how->patch_columns, how->n_columns); ++column) {
          add(how->rows[row], how->columns[column]);
        }
      }
    }
    counts[part] = next - top * how->n_columns;
  });
  int64_t count = 0;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t first = part * how->patch_rows * how->n_columns, n = counts[part];
    std::copy_n(out->position + 3 * first, 3 * n, out->position + 3 * count);
    std::copy_n(out->normal + 3 * first, 3 * n, out->normal + 3 * count);
    std::copy_n(out->color + 3 * first, 3 * n, out->color + 3 * count);
    std::copy_n(out->radius + first, n, out->radius + count);
    count += n;
  }
  return count;
}
