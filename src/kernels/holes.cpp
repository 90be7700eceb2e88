// Small holes of what a memory shows, closed: what vmem_ros/memory/small_holes.py says.

#include <cmath>
#include <cstring>

#include "machine.hpp"

extern "C" {

// What is shown, and is changed where a hole is closed.
struct VmemShown {
  int64_t height, width;
  uint8_t* image;     // [height, width, 3]
  float* depth;       // [height, width]
  uint8_t* seen;      // [height, width]
  int64_t* ids;       // [height, width]
  float* confidence;  // [height, width]
};

struct VmemHoles {
  int64_t widest;    // pixels
  float per_pixel;   // by which share of inverse depth one surface may change from pixel to pixel
  float confidence;  // of closed pixels
};
}

namespace {

// Bytes of a picture with a border around them.
struct Framed {
  Framed(int64_t height, int64_t width, int64_t around, uint8_t outside)
      : border(around), stride(width + 2 * around), bytes((height + 2 * around) * stride, outside) {}
  uint8_t* row(int64_t y) { return bytes.data() + (y + border) * stride + border; }

  const int64_t border, stride;
  std::vector<uint8_t> bytes;
};

// Writes the union of what a line of bytes holds up to `reach` of them, `step` apart, before and after each.
VMEM_INLINE void unite(const uint8_t* from, int64_t width, int64_t step, int64_t reach, uint8_t* __restrict to) {
  std::copy_n(from, width, to);
  for (int64_t away = 1; away <= reach; ++away) {
    const uint8_t *before = from - away * step, *after = from + away * step;
    for (int64_t x = 0; x < width; ++x) to[x] |= before[x] | after[x];
  }
}

// Adds the numbers of pixels in holes into which no square fits that is wider than `widest`, and near which none does.
//
// known: with a border that is not.
VMEM_CLONES void find_small(Framed& known, int64_t height, int64_t width, int64_t widest, std::vector<int64_t>& found) {
  const int64_t half = widest / 2, reach = 2 * half;
  // Squares that meet nothing known, beyond the border neither: their middles.
  Framed lines(height, width, reach, 0), middles(height, width, reach, 0);
  std::vector<uint8_t> line(width);
  for (int64_t y = 0; y < height; ++y) unite(known.row(y), width, 1, half, lines.row(y));
  for (int64_t y = 0; y < height; ++y) {
    uint8_t* middle = middles.row(y);
    unite(lines.row(y), width, lines.stride, half, middle);
    for (int64_t x = 0; x < width; ++x) middle[x] ^= 1;
  }
  // One square brings the hole back, another one keeps away from its ragged border.
  for (int64_t y = 0; y < height; ++y) unite(middles.row(y), width, 1, reach, lines.row(y));
  for (int64_t y = 0; y < height; ++y) {
    unite(lines.row(y), width, lines.stride, reach, line.data());
    const uint8_t* own = known.row(y);
    for (int64_t x = 0; x < width; ++x) line[x] = (line[x] | own[x]) ^ 1;
    constexpr int64_t at_once = 32;
    for (int64_t first = 0; first < width; first += at_once) {
      const int64_t end = std::min(first + at_once, width);
      uint8_t any = 0;
      for (int64_t x = first; x < end; ++x) any |= line[x];
      for (int64_t x = first; any && x < end; ++x) {
        if (line[x]) found.push_back(y * width + x);
      }
    }
  }
}

// What rows and columns say of a pixel in a hole.
struct Closed {
  float color[3] = {}, inverse = 0, count = 0;
  int64_t id = -1;
};

// Lets the line through a pixel, along which others are `step` apart, say what lies between the ends of the hole.
inline void ask_line(const VmemShown& shown, const VmemHoles& how, int64_t pixel, int64_t step, const uint8_t* known,
                     int64_t known_step, Closed& closed) {
  int64_t before = 1, after = 1;
  while (before <= how.widest && !known[-before * known_step]) ++before;
  while (before + after <= how.widest + 1 && !known[after * known_step]) ++after;
  if (before + after > how.widest + 1) return;
  const int64_t first = pixel - before * step, last = pixel + after * step;
  const float from = 1 / shown.depth[first], to = 1 / shown.depth[last];
  const float pixels = static_cast<float>(before + after), share = static_cast<float>(before) / pixels;
  const bool on_one = from > 0 && to > 0 && std::fabs(from - to) <= std::max(from, to) * (how.per_pixel * pixels);
  for (int channel = 0; channel < 3; ++channel) {
    const float one = shown.image[3 * first + channel], other = shown.image[3 * last + channel];
    closed.color[channel] += one * (1 - share) + other * share;
  }
  // What one line refuses is no number, whatever the other says.
  closed.inverse += on_one ? from * (1 - share) + to * share : NAN;
  closed.id = shown.ids[before <= after ? first : last];
  ++closed.count;
}

}  // namespace

extern "C" void vmem_close_small_holes(const VmemShown* shown, const VmemHoles* how) {
  const int64_t height = shown->height, width = shown->width;
  Framed known(height, width, how->widest, 0);
  for (int64_t y = 0; y < height; ++y) std::copy_n(shown->seen + y * width, width, known.row(y));
  std::vector<int64_t> small;
  find_small(known, height, width, how->widest, small);
  for (const int64_t pixel : small) {
    const uint8_t* here = known.row(pixel / width) + pixel % width;
    Closed closed;
    ask_line(*shown, *how, pixel, 1, here, 1, closed);
    ask_line(*shown, *how, pixel, width, here, known.stride, closed);
    if (!(std::fabs(closed.inverse / closed.count) < INFINITY)) continue;
    for (int channel = 0; channel < 3; ++channel) {
      shown->image[3 * pixel + channel] = static_cast<uint8_t>(std::lrintf(closed.color[channel] / closed.count));
    }
    shown->depth[pixel] = closed.count / closed.inverse;
    shown->seen[pixel] = 1;
    shown->ids[pixel] = closed.id;
    shown->confidence[pixel] = how->confidence;
  }
}
