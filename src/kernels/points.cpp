// The points of a depth map: what PointMap.from_depth in vmem_ros/types.py says.

#include "machine.hpp"

#include <limits>

namespace {

VMEM_CLONES void fill(const float* depth, const float* confidence, int64_t height, int64_t width, const float* x,
                      const float* y, float* points, float* known) {
  constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (int64_t row = 0; row < height; ++row) {
    for (int64_t column = 0; column < width; ++column) {
      const int64_t pixel = row * width + column;
      const float z = depth[pixel], finite = (z > 0) & (z < infinity) ? z : nan;
      points[3 * pixel] = x[column] * finite;
      points[3 * pixel + 1] = y[row] * finite;
      points[3 * pixel + 2] = z > 0 ? z : nan;
      known[pixel] = (z > 0) & (z < infinity) ? confidence[pixel] : 0.0f;
    }
  }
}

}  // namespace

// Writes points [height, width, 3] and their confidence to known [height, width].
//
// x [width] and y [height]: of the rays through pixel centres, at z = 1.
extern "C" void vmem_points(const float* depth, const float* confidence, int64_t height, int64_t width, const float* x,
                            const float* y, float* points, float* known) {
  fill(depth, confidence, height, width, x, y, points, known);
}
