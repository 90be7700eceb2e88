// Surfels, where a camera sees them, and which of them can be in its picture.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

extern "C" {

struct VmemSpheres {
  const float* centre;   // [n, 3]
  const float* radius;   // [n]
  const float* largest;  // [n] radius of the largest element within
  int64_t n;
};

struct VmemSurfels {
  const float* position;    // [n, 3]
  const float* normal;      // [n, 3]
  const float* radius;      // [n]
  const float* provenance;  // [n]
  const uint8_t* hidden;    // [n]: is left out; or null
  int64_t n;
  VmemSpheres blocks, groups;
  int64_t per_block;  // surfels of a block, and blocks of a group
};

struct VmemEye {
  int64_t width, height;
  float fx, fy, cx, cy;
  float rotation[9], translation[3];  // of surfels into the optical frame
};
}

namespace vmem {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Vector {
  float x, y, z;
};

inline float dot(const Vector& a, const Vector& b) { return a.x * b.x + a.y * b.y + a.z * b.z; }

inline Vector rotated(const VmemEye& eye, const float* v) {
  const float* r = eye.rotation;
  return {r[0] * v[0] + r[1] * v[1] + r[2] * v[2], r[3] * v[0] + r[4] * v[1] + r[5] * v[2],
          r[6] * v[0] + r[7] * v[1] + r[8] * v[2]};
}

inline Vector moved(const VmemEye& eye, const float* p) {
  const Vector v = rotated(eye, p);
  return {v.x + eye.translation[0], v.y + eye.translation[1], v.z + eye.translation[2]};
}

inline int64_t ceiling(int64_t a, int64_t b) { return (a + b - 1) / b; }

// A sphere in the optical frame that holds its elements as they are drawn.
struct Sphere {
  int64_t number;
  Vector centre;
  float radius;
  float nearest() const { return centre.z - radius; }
};

// The side planes of the view frustum and the near plane, by their inward normals.
class Frustum {
 public:
  explicit Frustum(const VmemEye& eye) {
    const float width = static_cast<float>(eye.width), height = static_cast<float>(eye.height);
    planes_[0] = unit({1, 0, eye.cx / eye.fx});
    planes_[1] = unit({-1, 0, (width - eye.cx) / eye.fx});
    planes_[2] = unit({0, 1, eye.cy / eye.fy});
    planes_[3] = unit({0, -1, (height - eye.cy) / eye.fy});
    planes_[4] = {0, 0, 1};
  }

  bool meets(const Sphere& sphere) const {
    bool inside = true;
    for (const Vector& plane : planes_) inside &= dot(sphere.centre, plane) > -sphere.radius;
    return inside;
  }

 private:
  static Vector unit(const Vector& v) {
    const float length = std::sqrt(dot(v, v));
    return {v.x / length, v.y / length, v.z / length};
  }

  Vector planes_[5];
};

// Returns the blocks whose elements may be in the picture: spheres in the optical frame that hold them.
//
// reach(largest, z): how far the largest element of a block reaches from its centre, if that is z away at most.
template <typename Reach>
std::vector<Sphere> blocks_in_view(const VmemSurfels& surfels, const VmemEye& eye, const Reach& reach) {
  const Frustum frustum(eye);
  const auto sphere_of = [&](const VmemSpheres& spheres, int64_t number) {
    const Vector centre = moved(eye, spheres.centre + 3 * number);
    const float radius = spheres.radius[number];
    return Sphere{number, centre, radius + reach(spheres.largest[number], centre.z + radius)};
  };
  std::vector<Sphere> found;
  for (int64_t group = 0; group < surfels.groups.n; ++group) {
    if (!frustum.meets(sphere_of(surfels.groups, group))) continue;
    const int64_t end = std::min((group + 1) * surfels.per_block, surfels.blocks.n);
    for (int64_t block = group * surfels.per_block; block < end; ++block) {
      const Sphere sphere = sphere_of(surfels.blocks, block);
      if (frustum.meets(sphere)) found.push_back(sphere);
    }
  }
  return found;
}

}  // namespace vmem
