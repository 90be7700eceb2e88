// How brightly a view was taken compared with another: what vmem_ros/memory/exposure.py says.

#include <cmath>

#include "machine.hpp"
#include "views.hpp"

extern "C" {

struct VmemComparison {
  const uint8_t* image;  // [height, width, 3] of the view
  const float* depth;    // [height, width]
  int64_t height, width;
  int64_t first, step;  // rows and columns first, first + step, ... are compared
  float tolerance;      // depths of one surface differ by this share at most
  float darkest, brightest;
};
}

namespace {

inline bool usable(const uint8_t* color, float darkest, float brightest) {
  bool all = true;
  for (int channel = 0; channel < 3; ++channel) {
    const float value = static_cast<float>(color[channel]);
    all &= value > darkest && value < brightest;
  }
  return all;
}

// The lower of the two in the middle, of an even number.
inline float median(std::vector<float>& values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() - 1) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Writes the median logarithm of the view's colours over the other's, by channel, to ratio [3], and returns how many
// points they have in common; without any, nothing is written.
int64_t compare(const VmemComparison* view, const VmemView* other, float* ratio) {
  std::vector<float> quotients[3];
  const float* p = other->projection;
  const float width = static_cast<float>(other->width), height = static_cast<float>(other->height);
  for (int64_t row = view->first; row < view->height; row += view->step) {
    for (int64_t column = view->first; column < view->width; column += view->step) {
      const int64_t pixel = row * view->width + column;
      const float z = view->depth[pixel];
      const uint8_t* own = view->image + 3 * pixel;
      if (!std::isfinite(z) || !usable(own, view->darkest, view->brightest)) continue;
      const float x = (static_cast<float>(column) + 0.5f) * z, y = (static_cast<float>(row) + 0.5f) * z;
      const float c = x * p[8] + y * p[9] + z * p[10] + p[11];
      const float u = (x * p[0] + y * p[1] + z * p[2] + p[3]) / c, v = (x * p[4] + y * p[5] + z * p[6] + p[7]) / c;
      if (!(c > 0 && u >= 0 && u < width && v >= 0 && v < height)) continue;
      const int64_t there = static_cast<int64_t>(v) * other->width + static_cast<int64_t>(u);
      const uint8_t* theirs = other->image + 3 * there;
      if (!(std::abs(other->depth[there] / c - 1) <= view->tolerance)) continue;
      if (!usable(theirs, view->darkest, view->brightest)) continue;
      for (int channel = 0; channel < 3; ++channel) {
        quotients[channel].push_back(static_cast<float>(own[channel]) / static_cast<float>(theirs[channel]));
      }
    }
  }
  if (quotients[0].empty()) return 0;
  // The logarithm keeps their order, so it is that of the median.
  for (int channel = 0; channel < 3; ++channel) ratio[channel] = std::log(median(quotients[channel]));
  return static_cast<int64_t>(quotients[0].size());
}

}  // namespace

// Compares a view with each of n others: writes how many points they have in common to common [n], and the median
// logarithm of its colours over theirs, by channel, to ratio [n, 3].
extern "C" void vmem_compare_exposure(const VmemComparison* view, const VmemView* others, int64_t n, int64_t* common,
                                      float* ratio) {
  for (int64_t i = 0; i < n; ++i) common[i] = compare(view, others + i, ratio + 3 * i);
}
