// Depth maps and their points: what vmem_ros/geometry/depth_maps.py and PointMap.from_depth in vmem_ros/types.py say.

#include <limits>

#include "machine.hpp"

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

VMEM_CLONES void fill(const float* depth, int64_t height, int64_t width, const float* x, const float* y,
                      float* points) {
  for (int64_t row = 0; row < height; ++row) {
    for (int64_t column = 0; column < width; ++column) {
      const int64_t pixel = row * width + column;
      const float z = depth[pixel], finite = (z > 0) & (z < kInfinity) ? z : kNan;
      points[3 * pixel] = x[column] * finite;
      points[3 * pixel + 1] = y[row] * finite;
      points[3 * pixel + 2] = z;
    }
  }
}

VMEM_CLONES void keep_known(const float* depth, const float* confidence, int64_t n, float* known, float* trusted) {
  for (int64_t pixel = 0; pixel < n; ++pixel) {
    const float z = depth[pixel];
    known[pixel] = z > 0 ? z : kNan;
    trusted[pixel] = (z > 0) & (z < kInfinity) ? confidence[pixel] : 0.0f;
  }
}

VMEM_CLONES void keep_measured(const float* depth, int64_t n, float most, float* measured) {
  for (int64_t pixel = 0; pixel < n; ++pixel) {
    const float z = depth[pixel];
    measured[pixel] = (z > 0) & ((z <= most) | (z == kInfinity)) ? z : kNan;
  }
}

// Pixels of one line at most, so that counts of 32 bits do.
VMEM_CLONES void count_line(const float* depth, int32_t n, int32_t& known, int32_t& infinite) {
  int32_t positive = 0, far = 0;
  for (int32_t pixel = 0; pixel < n; ++pixel) {
    positive += depth[pixel] > 0;
    far += depth[pixel] == kInfinity;
  }
  known = positive;
  infinite = far;
}

}  // namespace

// Writes points [height, width, 3] of depth whose unknown pixels are NaN.
//
// x [width] and y [height]: of the rays through pixel centres, at z = 1.
extern "C" void vmem_points(const float* depth, int64_t height, int64_t width, const float* x, const float* y,
                            float* points) {
  fill(depth, height, width, x, y, points);
}

// Writes depth [n] that is NaN where it is not known, and the confidence [n] of what has a point.
extern "C" void vmem_known(const float* depth, const float* confidence, int64_t n, float* known, float* trusted) {
  keep_known(depth, confidence, n, known, trusted);
}

// Writes depth [n] that is NaN unless it is positive, and at most `most` or infinite.
extern "C" void vmem_measured(const float* depth, int64_t n, float most, float* measured) {
  keep_measured(depth, n, most, measured);
}

// Writes how many pixels of depth [n] are positive, and how many of these infinite, to counts [2].
extern "C" void vmem_count_depth(const float* depth, int64_t n, int64_t* counts) {
  constexpr int64_t at_once = 1 << 20;
  counts[0] = counts[1] = 0;
  for (int64_t first = 0; first < n; first += at_once) {
    int32_t known, infinite;
    count_line(depth + first, static_cast<int32_t>(std::min(at_once, n - first)), known, infinite);
    counts[0] += known;
    counts[1] += infinite;
  }
}
