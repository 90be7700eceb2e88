// Which surfels a camera looks through: what vmem_ros/memory/surfel/looking_through.py says.

#include <cmath>

#include "machine.hpp"
#include "surfels.hpp"

using namespace vmem;

namespace {

// The nearest depth in each of rows x columns parts of a picture, and around; 0 where some of it is not known.
VMEM_CLONES std::vector<float> nearest_around(const float* depth, int64_t height, int64_t width, int64_t rows, int64_t columns) {
  std::vector<float> least(rows * columns, kInfinity), line(width), out(rows * columns), beside(columns);
  for (int64_t row = 0; row < rows; ++row) {
    std::fill(line.begin(), line.end(), kInfinity);
    for (int64_t y = row * height / rows; y < ceiling((row + 1) * height, rows); ++y) {
      const float* values = depth + y * width;
      for (int64_t x = 0; x < width; ++x) {
        const float value = values[x] == values[x] ? values[x] : 0;
        line[x] = value < line[x] ? value : line[x];
      }
    }
    for (int64_t column = 0; column < columns; ++column) {
      const auto first = line.begin() + column * width / columns;
      least[row * columns + column] = *std::min_element(first, line.begin() + ceiling((column + 1) * width, columns));
    }
  }
  for (int64_t row = 0; row < rows; ++row) {
    const float *above = &least[std::max(row - 1, int64_t{0}) * columns], *here = &least[row * columns];
    const float* below = &least[std::min(row + 1, rows - 1) * columns];
    for (int64_t x = 0; x < columns; ++x) {
      const float nearer = above[x] < below[x] ? above[x] : below[x];
      beside[x] = here[x] < nearer ? here[x] : nearer;
    }
    float* around = &out[row * columns];
    around[0] = std::min(beside[0], beside[std::min(columns - 1, int64_t{1})]);
    for (int64_t x = 1; x < columns - 1; ++x) {
      const float nearer = beside[x - 1] < beside[x + 1] ? beside[x - 1] : beside[x + 1];
      around[x] = beside[x] < nearer ? beside[x] : nearer;
    }
    around[columns - 1] = std::min(beside[columns - 1], beside[std::max(columns - 2, int64_t{0})]);
  }
  return out;
}

}  // namespace

// Writes the numbers of surfels, ascending, to found [surfels] and returns how many there are.
//
// eye: of the picture in which depths are compared.
// depth [height, width]: what the camera sees, NaN where that is not known.
extern "C" int64_t vmem_looked_through(const VmemSurfels* surfels, const VmemEye* eye, const float* depth, int64_t depth_height,
                                       int64_t depth_width, float margin, float near, int64_t* found) {
  const float width = static_cast<float>(eye->width), height = static_cast<float>(eye->height);
  const std::vector<float> around = nearest_around(depth, depth_height, depth_width, eye->height, eye->width);
  int64_t count = 0;
  // Only centres are asked about.
  for (const Sphere& block : blocks_in_view(*surfels, *eye, [](float, float) { return 0.0f; })) {
    const int64_t end = std::min((block.number + 1) * surfels->per_block, surfels->n);
    for (int64_t i = block.number * surfels->per_block; i < end; ++i) {
      if (surfels->hidden && surfels->hidden[i]) continue;
      const Vector centre = moved(*eye, surfels->position + 3 * i);
      if (!(centre.z > near)) continue;
      const float u = eye->fx * (centre.x / centre.z) + eye->cx, v = eye->fy * (centre.y / centre.z) + eye->cy;
      if (!(u >= 0 && u < width && v >= 0 && v < height)) continue;
      const int64_t pixel = static_cast<int64_t>(v) * eye->width + static_cast<int64_t>(u);
      if (centre.z < (1 - margin) * around[pixel]) found[count++] = i;
    }
  }
  return count;
}
