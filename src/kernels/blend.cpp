// Blending of stored views at the pixels of a target: what vmem_ros/memory/blending.py says, pixel by pixel.
//
// A row is worked on in tiles that stay in the first-level cache. Arithmetic runs over whole tiles, so that the
// compiler can use vector instructions; only the look-ups in pictures are done one by one.

#include <cmath>
#include <cstring>
#include <limits>

#include "machine.hpp"
#include "views.hpp"

namespace {

constexpr int kTile = 128;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

extern "C" {

// Constants of vmem_ros/memory/blending.py and other_view.py, in the order of vmem_ros/memory/compiled_blending.py.
struct VmemBlendConstants {
  float angle, angle_of_depth, depth, depth_before_fusion, equal, tolerance, without_depth, border, at_border,
      other_surface, of_memory, of_imagination, least, poor, farthest, one_surface;
  int64_t fusions;
};

struct VmemTarget {
  int64_t width, height;
  float fx, fy, cx, cy;
  const float* depth;       // [height, width]
  const uint8_t* imagined;  // [height, width] no camera has seen what is there
};

struct VmemBlended {
  uint8_t* image;     // [height, width, 3]
  float* depth;       // [height, width]
  float* provenance;  // [height, width]
  uint8_t* found;     // [height, width]
  uint8_t* refuted;   // [height, width]
};
}

namespace {

// exp for x <= 0; what is not a number gives 0. Relative error 2e-7: 2^f on [0, 1) by its Taylor series around 1/2.
VMEM_INLINE float exp_below(float x) {
  x = x > -87.0f ? x : -87.0f;
  const float t = x * 1.44269504f;
  const int32_t whole = static_cast<int32_t>(t) - 1;  // towards zero, so one below
  const float f = (t - static_cast<float>(whole) - 0.5f) * 0.693147181f;
  float p = 1.0f / 720;
  p = p * f + 1.0f / 120;
  p = p * f + 1.0f / 24;
  p = p * f + 1.0f / 6;
  p = p * f + 0.5f;
  p = p * f + 1.0f;
  p = p * f + 1.0f;
  const int32_t bits = (whole + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return x > -87.0f ? 1.41421356f * p * power : 0.0f;
}

// Red, green, blue and a number that means nothing: four are as fast as one.
typedef float Color __attribute__((vector_size(16)));
typedef int32_t Integers __attribute__((vector_size(16)));
typedef uint16_t Shorts __attribute__((vector_size(16)));
typedef uint8_t Bytes __attribute__((vector_size(16)));

#if defined(__clang__)
#define VMEM_INTERLEAVED(Type, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define VMEM_INTERLEAVED(Type, a, b, ...) __builtin_shuffle(a, b, Type{__VA_ARGS__})
#endif

// Points are worked on in batches of so many, which fill the registers of any processor.
constexpr int kAtOnce = 16;
static_assert(kTile % kAtOnce == 0, "a tile holds whole batches");

// Points of a tile that are asked about: the pixel's column (centre at +0.5), its depth and its place in the tile.
//
// Behind the n of them there are some that nobody asks about, so that batches are whole.
struct Points {
  int n, batches;
  float v;
  float u[kTile], z[kTile], trust[kTile];
  int place[kTile];

  int whole() const { return batches * kAtOnce; }
};

// How the points appear in a view.
//
// Of the four pixels around a place, `first` is the upper left and `below` the step to the lower ones, 0 at the border;
// `along` and `down` say how far the place is from the upper left towards the others. In the last column, where there
// are none to the right, `first` is the pixel before, and `last_column` is set.
struct Looks {
  float u[kTile], v[kTile], c[kTile], depth[kTile], along[kTile], down[kTile];
  int32_t inside[kTile], pixel[kTile], first[kTile], below[kTile], last_column[kTile];
};

// What is known of the pixels of a tile.
struct Answers {
  float trust[kTile], z[kTile], behind[kTile], weight[kTile], provenance[kTile];
  Color color[kTile];
};

struct Angles {
  float angle[kTile], distance[kTile];
};

// Looks for the points in a view. Returns whether any is in its picture.
VMEM_INLINE bool project(const VmemView& view, const Points& points, Looks& looks) {
  const float* p = view.projection;
  const float width = static_cast<float>(view.width), height = static_cast<float>(view.height);
  const int32_t columns = static_cast<int32_t>(view.width), rows = static_cast<int32_t>(view.height);
  const int32_t before = columns > 1 ? 1 : 0;
  const int n = points.whole();
  int32_t any = 0;
  for (int k = 0; k < n; ++k) {
    const float z = points.z[k], x = points.u[k] * z, y = points.v * z;
    const float a = x * p[0] + y * p[1] + z * p[2] + p[3];
    const float b = x * p[4] + y * p[5] + z * p[6] + p[7];
    const float c = x * p[8] + y * p[9] + z * p[10] + p[11];
    const float u = a / c, v = b / c;
    const int32_t inside = (c > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height);
    looks.u[k] = inside ? u : 0.0f;
    looks.v[k] = inside ? v : 0.0f;
    looks.c[k] = c;
    looks.inside[k] = inside;
    any |= inside;
    looks.pixel[k] = static_cast<int32_t>(looks.v[k]) * columns + static_cast<int32_t>(looks.u[k]);
    const float column = std::min(std::max(looks.u[k] - 0.5f, 0.0f), width - 1);
    const float row = std::min(std::max(looks.v[k] - 0.5f, 0.0f), height - 1);
    const int32_t left = static_cast<int32_t>(column), top = static_cast<int32_t>(row);
    const int32_t last_column = left + 1 < columns ? 0 : 1;
    looks.first[k] = top * columns + left - (last_column & before);
    looks.last_column[k] = last_column;
    looks.below[k] = top + 1 < rows ? columns : 0;
    looks.along[k] = column - static_cast<float>(left);
    looks.down[k] = row - static_cast<float>(top);
  }
  return any;
}

VMEM_INLINE void read_depth(const VmemView& view, int batches, Looks& looks) {
  for (int k = 0; k < batches * kAtOnce; ++k) looks.depth[k] = view.depth[looks.pixel[k]];
}

// Lets the pixels come that the next row of the target will need: views are large, and lie here and there.
VMEM_INLINE void expect(const VmemView& view, int batches, const Looks& looks) {
  for (int k = 0; k < batches * kAtOnce; k += kAtOnce) {
    const int64_t next = std::min(looks.first[k] + 2 * view.width, view.width * view.height - 1);
    __builtin_prefetch(view.depth + next);
    __builtin_prefetch(view.image + 3 * next);
    if (view.confidence) __builtin_prefetch(view.confidence + next);
  }
}

// Depth between the pixels of one surface.
VMEM_INLINE void read_fine_depth(const VmemView& view, int batches, float one_surface, Looks& looks) {
  float upper[2 * kTile], lower[2 * kTile];
  const int n = batches * kAtOnce;
  if (view.width > 1) {
    for (int k = 0; k < n; ++k) {
      const float* first = view.depth + looks.first[k];
      std::memcpy(upper + 2 * k, first, 2 * sizeof(float));
      std::memcpy(lower + 2 * k, first + looks.below[k], 2 * sizeof(float));
    }
  } else {
    for (int k = 0; k < n; ++k) {
      const float* first = view.depth + looks.first[k];
      upper[2 * k] = upper[2 * k + 1] = first[0];
      lower[2 * k] = lower[2 * k + 1] = first[looks.below[k]];
    }
  }
  for (int k = 0; k < n; ++k) {
    const float upper_right = upper[2 * k + 1], upper_left = looks.last_column[k] ? upper_right : upper[2 * k];
    const float lower_right = lower[2 * k + 1], lower_left = looks.last_column[k] ? lower_right : lower[2 * k];
    const float along = looks.along[k], down = looks.down[k];
    const float top = upper_left + (upper_right - upper_left) * along;
    const float bottom = lower_left + (lower_right - lower_left) * along;
    const float between = top + (bottom - top) * down;
    // The place lies in the nearest of the four pixels.
    const float nearest_upper = along < 0.5f ? upper_left : upper_right;
    const float nearest_lower = along < 0.5f ? lower_left : lower_right;
    const float nearest = down < 0.5f ? nearest_upper : nearest_lower;
    const float depth = std::fabs(between - nearest) <= one_surface * nearest ? between : nearest;
    looks.depth[k] = looks.inside[k] ? depth : NAN;
  }
}

// A pixel, and as a fourth the byte behind it.
VMEM_INLINE Color color_at(const uint8_t* pixel) {
  Bytes bytes = {};
  std::memcpy(&bytes, pixel, 4);
  const Bytes zero = {};
  bytes = VMEM_INTERLEAVED(Bytes, bytes, zero, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  Shorts shorts, none = {};
  std::memcpy(&shorts, &bytes, sizeof shorts);
  shorts = VMEM_INTERLEAVED(Shorts, shorts, none, 0, 8, 1, 9, 2, 10, 3, 11);
  Integers integers;
  std::memcpy(&integers, &shorts, sizeof integers);
  return __builtin_convertvector(integers, Color);
}

// Returns the colour between two pixels above each other; `ends`: one may be the last, behind which nothing can be read.
VMEM_INLINE Color color_between(const uint8_t* upper, const uint8_t* lower, float down, bool ends) {
  uint8_t copies[2][4];
  if (ends) {
    std::memcpy(copies[0], upper, 3);
    std::memcpy(copies[1], lower, 3);
    upper = copies[0];
    lower = copies[1];
  }
  const Color above = color_at(upper);
  return above + (color_at(lower) - above) * down;
}

VMEM_INLINE void compare(const VmemTarget& target, const VmemView& view, const Points& points, Angles& angles) {
  const float cx = view.centre[0], cy = view.centre[1], cz = view.centre[2];
  const float squared = cx * cx + cy * cy + cz * cz;
  const float ry = (points.v - target.cy) / target.fy, per_pixel = 1 / target.fx;
  const int n = points.whole();
  for (int k = 0; k < n; ++k) {
    const float z = points.z[k], rx = (points.u[k] - target.cx) * per_pixel;
    const float own = z * z * (1 + rx * rx + ry * ry);
    const float across = z * (rx * cx + ry * cy + cz);
    const float other = std::max(own - 2 * across + squared, 1e-12f);
    const float cosine = (own - across) / std::sqrt(own * other);
    angles.angle[k] = 2 * std::max(1 - cosine, 0.0f);
    angles.distance[k] = other / own;
  }
}

// Replaces the depth of the points by what the views measured together, and notes what they saw behind.
VMEM_CLONES void fuse(const VmemView* views, int64_t n_views, const Angles* angles, const VmemBlendConstants& constants,
                      Points& points, Answers& answers) {
  float total[kTile], mean[kTile], behind[kTile];
  int32_t confirmed[kTile];
  Looks looks;
  const int n = points.whole();
  for (int k = 0; k < n; ++k) {
    total[k] = points.trust[k] / (points.z[k] * points.z[k]);
    mean[k] = total[k] * points.z[k];
    behind[k] = kInfinity;
    confirmed[k] = 0;
  }
  const float per_angle = 1 / (constants.angle_of_depth * constants.angle_of_depth);
  const float per_depth = 1 / constants.depth_before_fusion, tolerance = constants.tolerance;
  for (const VmemView* view = views; view < views + n_views; ++view) {
    if (!view->observed) continue;
    const float centre = view->centre[2], *angle = angles[view - views].angle;
    if (!project(*view, points, looks)) continue;
    read_fine_depth(*view, points.batches, constants.one_surface, looks);
    for (int k = 0; k < n; ++k) {
      const float depth = looks.depth[k], ratio = depth / looks.c[k], error = ratio - 1;
      const float found = ratio * points.z[k] + (1 - ratio) * centre;
      const float scaled = error * per_depth;
      float weight = exp_below(-angle[k] * per_angle - scaled * scaled) / (depth * depth);
      weight = weight > 0 ? weight : 0.0f;
      total[k] += weight;
      mean[k] += weight > 0 ? weight * found : 0.0f;
      confirmed[k] |= std::fabs(error) <= tolerance;
      const bool through = (error > tolerance) & (std::fabs(found) < kInfinity) & (found > points.z[k]);
      behind[k] = through ? std::min(behind[k], found) : behind[k];
    }
  }
  for (int k = 0; k < points.n; ++k) {
    float& known = answers.behind[points.place[k]];
    known = confirmed[k] ? kInfinity : std::min(known, behind[k]);
  }
  for (int k = 0; k < n; ++k) points.z[k] = mean[k] / total[k];
}

// Writes how much the colours of a view count. Returns whether they do at all: else nothing is written.
VMEM_INLINE bool weigh(const VmemView& view, const Angles& angles, const VmemBlendConstants& constants,
                       const Points& points, Looks& looks, float* weight) {
  if (!project(view, points, looks)) return false;
  expect(view, points.batches, looks);
  read_depth(view, points.batches, looks);
  const float per_angle = 1 / (constants.angle * constants.angle), per_depth = 1 / constants.depth;
  const float per_equal = 1 / (constants.equal * constants.equal);
  const float width = static_cast<float>(view.width), height = static_cast<float>(view.height);
  const float per_margin = 1 / (constants.border * std::min(width, height));
  const float farthest = constants.farthest, at_border = constants.at_border, without = constants.without_depth;
  const float other_surface = constants.other_surface, own_weight = view.weight;
  const float *__restrict all_angles = angles.angle, *__restrict all_distances = angles.distance;
  float* __restrict out = weight;
  const int n = points.whole();
  for (int k = 0; k < n; ++k) {
    const float angle = all_angles[k], seen_from = all_distances[k], u = looks.u[k], v = looks.v[k];
    const float distance = seen_from > 1.0f ? seen_from : 1.0f, root = std::sqrt(distance) - 1;
    const float error = looks.depth[k] / looks.c[k] - 1, scaled = error * per_depth;
    const float fits = exp_below(-scaled * scaled);
    float agreement = std::fabs(error) <= other_surface ? fits : 0.0f;
    agreement = error != error ? without : agreement;
    const float exponent = angle * per_angle;
    const float aside = exp_below(exponent < farthest ? -exponent : -farthest);
    const float nearness = aside / (distance * (1e-3f + (angle + root * root) * per_equal));
    const float across = u < width - u ? u : width - u, down = v < height - v ? v : height - v;
    float border = (across < down ? across : down) * per_margin;
    border = border > at_border ? border : at_border;
    border = border < 1.0f ? border : 1.0f;
    const float result = agreement * nearness * border * own_weight;
    out[k] = looks.inside[k] ? result : 0.0f;
  }
  return true;
}

// Takes the answers of a group of views at points that have none, or poorer ones.
VMEM_CLONES void ask(const VmemTarget& target, const VmemView* views, int64_t n_views,
                     const VmemBlendConstants& constants, Points& points, Answers& answers) {
  thread_local std::vector<Angles> angles;
  angles.resize(n_views);
  for (int64_t i = 0; i < n_views; ++i) compare(target, views[i], points, angles[i]);
  for (int64_t round = 0; round < constants.fusions; ++round) {
    fuse(views, n_views, angles.data(), constants, points, answers);
  }
  Looks looks;
  float weight[kTile], total[kTile] = {}, provenance[kTile] = {};
  Color color[kTile] = {};
  for (const VmemView* view = views; view < views + n_views; ++view) {
    if (!weigh(*view, angles[view - views], constants, points, looks, weight)) continue;
    const int32_t last = static_cast<int32_t>(view->width * view->height) - 1;
    const int64_t step = view->width > 1 ? 3 : 0;
    const Color gain = {view->gain[0], view->gain[1], view->gain[2], 0};
    for (int k = 0; k < points.n; ++k) {
      if (!(weight[k] > 0)) continue;
      const float seen = view->confidence ? view->confidence[looks.pixel[k]] : 1.0f;
      if (view->observed && !(seen > 0)) continue;
      const uint8_t *upper = view->image + 3 * looks.first[k], *lower = upper + 3 * looks.below[k];
      const bool ends = looks.first[k] + looks.below[k] >= last - 1;
      const float w = weight[k], along = looks.last_column[k] ? 1.0f : looks.along[k], down = looks.down[k];
      const Color left = color_between(upper, lower, down, ends);
      const Color right = color_between(upper + step, lower + step, down, ends);
      color[k] += (w * gain) * (left + (right - left) * along);
      provenance[k] += w * seen;
      total[k] += w;
    }
  }
  for (int k = 0; k < points.n; ++k) {
    const int at = points.place[k];
    if (!(total[k] > answers.weight[at])) continue;
    answers.z[at] = points.z[k];
    answers.weight[at] = total[k];
    answers.color[at] = color[k];
    answers.provenance[at] = provenance[k];
  }
}

// Collects the points of a tile that are chosen and have no good answer yet.
template <typename Chosen>
inline void open_points(int64_t row, int64_t column, int n, const Answers& answers, float poor, const Chosen& chosen,
                        Points& points) {
  points.n = 0;
  points.v = static_cast<float>(row) + 0.5f;
  for (int i = 0; i < n; ++i) {
    if (!chosen(i) || answers.weight[i] > poor) continue;
    points.u[points.n] = static_cast<float>(column + i) + 0.5f;
    points.z[points.n] = answers.z[i];
    points.trust[points.n] = answers.trust[i];
    points.place[points.n++] = i;
  }
  points.batches = (points.n + kAtOnce - 1) / kAtOnce;
  for (int k = points.n; k < points.whole(); ++k) points.u[k] = points.z[k] = points.trust[k] = 1;
}

struct Groups {
  const VmemView* views;
  const int64_t* sizes;
  int64_t n;
};

void blend_tile(const VmemTarget& target, const Groups& groups, const VmemBlendConstants& constants,
                            int64_t row, int64_t column, const VmemBlended& out) {
  const int n = static_cast<int>(std::min<int64_t>(kTile, target.width - column));
  const int64_t start = row * target.width + column;
  Answers answers;
  Points points;
  bool known[kTile], moved[kTile];
  bool any_moved = false;
  for (int i = 0; i < n; ++i) {
    answers.z[i] = target.depth[start + i];
    answers.trust[i] = target.imagined[start + i] ? constants.of_imagination : constants.of_memory;
    known[i] = std::fabs(answers.z[i]) < kInfinity;
    moved[i] = false;
    answers.behind[i] = kInfinity;
    answers.weight[i] = answers.provenance[i] = 0;
    answers.color[i] = Color{};
  }
  const auto ask_all = [&](bool real, const bool* chosen) {
    const VmemView* views = groups.views;
    for (int64_t group = 0; group < groups.n; views += groups.sizes[group++]) {
      bool any_observed = false;
      for (int64_t i = 0; i < groups.sizes[group]; ++i) any_observed |= views[i].observed != 0;
      if (any_observed != real || !groups.sizes[group]) continue;
      open_points(row, column, n, answers, constants.poor, [&](int i) { return chosen[i]; }, points);
      if (!points.n) return;
      ask(target, views, groups.sizes[group], constants, points, answers);
    }
  };
  ask_all(true, known);
  for (int i = 0; i < n; ++i) {
    if (!known[i] || !(answers.behind[i] < kInfinity)) continue;
    answers.z[i] = answers.behind[i];
    answers.weight[i] = 0;
    moved[i] = any_moved = true;
  }
  if (any_moved) ask_all(true, moved);
  ask_all(false, known);
  for (int i = 0; i < n; ++i) {
    const bool found = answers.weight[i] > constants.least;
    const float per_weight = found ? 1 / answers.weight[i] : 0.0f;
    uint8_t* pixel = out.image + 3 * (start + i);
    for (int channel = 0; channel < 3; ++channel) {
      const float value = std::min(answers.color[i][channel] * per_weight, 255.0f);
      pixel[channel] = static_cast<uint8_t>(std::lrintf(value));
    }
    out.depth[start + i] = answers.z[i];
    out.provenance[start + i] = answers.provenance[i] * per_weight;
    out.found[start + i] = found;
    out.refuted[start + i] = moved[i] && !found;
  }
}

}  // namespace

extern "C" void vmem_blend(const VmemView* views, const int64_t* sizes, int64_t n_groups, const VmemTarget* target,
                           const VmemBlendConstants* constants, const VmemBlended* out, int64_t threads) {
  const Groups groups{views, sizes, n_groups};
  // A few rows at once: threads that take turns should not take too many.
  constexpr int64_t rows_at_once = 8;
  vmem::in_parallel((target->height + rows_at_once - 1) / rows_at_once, threads, [&](int64_t part) {
    const int64_t end = std::min((part + 1) * rows_at_once, target->height);
    for (int64_t row = part * rows_at_once; row < end; ++row) {
      for (int64_t column = 0; column < target->width; column += kTile) {
        blend_tile(*target, groups, *constants, row, column, *out);
      }
    }
  });
}
