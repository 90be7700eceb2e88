// What a view adds to an index: which elements it saw, where they lie, and what speaks for and against each. What
// vmem_ros/memory/{observations,reach,bounds}.py and surfel/{index,evidence,recognition}.py say.

#include <cmath>

#include "machine.hpp"
#include "surfels.hpp"

using namespace vmem;

extern "C" {

struct VmemEvidence {
  int32_t* balance;        // [n] cameras for an element less those against it
  uint8_t* refuted;        // [n]
  const uint8_t* removed;  // [n] by hand
  const uint8_t* added;    // [n] likewise
};

struct VmemAgain {
  const float* position;    // [n, 3] of new surfels, in the optical frame
  const float* radius;      // [n]
  const float* provenance;  // [n]
  int64_t n;
  const float* old_normal;      // of those that are there
  const float* old_radius;
  const float* old_provenance;
  const int64_t* ids;  // [height, width] of old ones that the camera sees, or -1
  const float* depth;  // [height, width]
  float metres, share, coarser;
};
}

namespace {

// Sorts numbers below 2^32, digit by digit; digits that all of them share cost nothing.
void sort_numbers(std::vector<uint32_t>& numbers) {
  constexpr int bits = 11, digits = 3;
  std::vector<uint32_t> other(numbers.size());
  for (int digit = 0; digit < digits; ++digit) {
    const auto of = [&](uint32_t number) { return number >> (bits * digit) & ((1u << bits) - 1); };
    std::vector<int64_t> place((1 << bits) + 1, 0);
    for (const uint32_t number : numbers) ++place[of(number) + 1];
    if (numbers.empty() || place[of(numbers[0]) + 1] == static_cast<int64_t>(numbers.size())) continue;
    for (int i = 0; i < 1 << bits; ++i) place[i + 1] += place[i];
    for (const uint32_t number : numbers) other[place[of(number)]++] = number;
    numbers.swap(other);
  }
}

VMEM_CLONES void bound_block(const float* centre, const float* radius, const float* largest, int64_t n,
                             float* out_centre, float* out_radius, float* out_largest) {
  float low[3], high[3];
  std::fill_n(low, 3, kInfinity);
  std::fill_n(high, 3, -kInfinity);
  float most = -kInfinity, farthest = -kInfinity;
  for (int64_t i = 0; i < n; ++i) {
    for (int axis = 0; axis < 3; ++axis) {
      low[axis] = std::min(low[axis], centre[3 * i + axis] - radius[i]);
      high[axis] = std::max(high[axis], centre[3 * i + axis] + radius[i]);
    }
    most = std::max(most, largest[i]);
  }
  for (int axis = 0; axis < 3; ++axis) out_centre[axis] = (low[axis] + high[axis]) / 2;
  for (int64_t i = 0; i < n; ++i) {
    const float x = centre[3 * i] - out_centre[0], y = centre[3 * i + 1] - out_centre[1];
    const float z = centre[3 * i + 2] - out_centre[2];
    farthest = std::max(farthest, std::sqrt(x * x + y * y + z * z) + radius[i]);
  }
  *out_radius = farthest;
  *out_largest = most;
}

}  // namespace

// Writes the distinct numbers among found [n_found], where -1 is none, and others [n_others], ascending, and then
// first, first + 1, ... up to end, to out; returns how many it writes.
extern "C" int64_t vmem_distinct(const int64_t* found, int64_t n_found, const int64_t* others, int64_t n_others,
                                 int64_t first, int64_t end, int64_t* out) {
  std::vector<uint32_t> numbers;
  numbers.reserve(n_found + n_others);
  for (int64_t i = 0; i < n_found; ++i) {
    if (found[i] >= 0) numbers.push_back(static_cast<uint32_t>(found[i]));
  }
  for (int64_t i = 0; i < n_others; ++i) numbers.push_back(static_cast<uint32_t>(others[i]));
  sort_numbers(numbers);
  const auto last = std::unique(numbers.begin(), numbers.end());
  int64_t* next = std::copy(numbers.begin(), last, out);
  for (int64_t number = first; number < end; ++number) *next++ = number;
  return next - out;
}

// Writes the box around points [., 3], of which those numbered index [n] count, to box [2, 3]: lowest and highest.
//
// index may be null: the first n count.
extern "C" void vmem_box(const float* points, const int64_t* index, int64_t n, float* box) {
  std::fill_n(box, 3, kInfinity);
  std::fill_n(box + 3, 3, -kInfinity);
  for (int64_t i = 0; i < n; ++i) {
    const float* p = points + 3 * (index ? index[i] : i);
    for (int axis = 0; axis < 3; ++axis) {
      box[axis] = std::min(box[axis], p[axis]);
      box[3 + axis] = std::max(box[3 + axis], p[axis]);
    }
  }
}

// Writes bounding spheres of every per_block successive ones of n spheres.
extern "C" void vmem_bound(const float* centre, const float* radius, const float* largest, int64_t n,
                           int64_t per_block, float* out_centre, float* out_radius, float* out_largest) {
  for (int64_t block = 0; block * per_block < n; ++block) {
    const int64_t first = block * per_block;
    bound_block(centre + 3 * first, radius + first, largest + first, std::min(per_block, n - first),
                out_centre + 3 * block, out_radius + block, out_largest + block);
  }
}

// Adds a change to the balance of distinct elements [n], and says which of them are refuted.
extern "C" void vmem_count_evidence(const VmemEvidence* evidence, const int64_t* elements, int64_t n, int32_t change) {
  for (int64_t i = 0; i < n; ++i) {
    const int64_t j = elements[i];
    evidence->balance[j] += change;
    evidence->refuted[j] = (evidence->balance[j] < 0 && !evidence->added[j]) || evidence->removed[j];
  }
}

// Fills in found [n] for new surfels, where it is -1, the old ones that are seen again in their place.
extern "C" void vmem_recognise(const VmemAgain* again, const VmemEye* eye, int64_t* found) {
  const int64_t right = eye->width - 1, bottom = eye->height - 1;
  for (int64_t i = 0; i < again->n; ++i) {
    if (found[i] >= 0) continue;
    const float* p = again->position + 3 * i;
    const Vector place{p[0], p[1], p[2]};
    const int64_t u = static_cast<int64_t>(eye->fx * (place.x / place.z) + eye->cx);
    const int64_t v = static_cast<int64_t>(eye->fy * (place.y / place.z) + eye->cy);
    const int64_t pixel =
        std::min(std::max(v, int64_t{0}), bottom) * eye->width + std::min(std::max(u, int64_t{0}), right);
    const int64_t number = again->ids[pixel];
    if (number < 0) continue;
    // Both points lie on one ray; so far apart they are along the normal of the old surface.
    const Vector normal = rotated(*eye, again->old_normal + 3 * number);
    const float apart = std::abs(again->depth[pixel] / place.z - 1) * std::abs(dot(normal, place));
    if (apart <= again->metres + again->share * place.z && again->provenance[i] <= again->old_provenance[number] &&
        again->old_radius[number] <= again->coarser * again->radius[i]) {
      found[i] = number;
    }
  }
}

// Adds the votes of each of `views` [n], by elements spread evenly over what it saw, to votes [n].
//
// elements: of all views, one after the other; those of view v begin at offsets[v] and end at offsets[v + 1].
// weight: of each element. sampled: elements of a view that are looked at, at most.
extern "C" void vmem_sum_votes(const int32_t* elements, const int64_t* offsets, const int64_t* weight,
                               const int64_t* views, int64_t n, int64_t sampled, int64_t* votes) {
  for (int64_t i = 0; i < n; ++i) {
    const int32_t* own = elements + offsets[views[i]];
    const int64_t count = offsets[views[i] + 1] - offsets[views[i]];
    int64_t sum = 0;
    if (count > sampled) {
      // The places step * count / sampled, without dividing.
      int64_t place = 0, rest = 0;
      const int64_t stride = count / sampled, left_over = count % sampled;
      for (int64_t step = 0; step < sampled; ++step) {
        sum += weight[own[place]];
        place += stride;
        rest += left_over;
        if (rest >= sampled) {
          rest -= sampled;
          ++place;
        }
      }
      votes[i] = sum * count / sampled;
    } else {
      for (int64_t step = 0; step < count; ++step) sum += weight[own[step]];
      votes[i] = sum;
    }
  }
}

// Moves positions and normals [n, 3] by a rotation [3, 3] and a translation [3].
extern "C" void vmem_move(const float* rotation, const float* translation, const float* position, const float* normal,
                          int64_t n, float* moved_position, float* moved_normal) {
  VmemEye pose{};
  std::copy_n(rotation, 9, pose.rotation);
  std::copy_n(translation, 3, pose.translation);
  for (int64_t i = 0; i < n; ++i) {
    const Vector p = moved(pose, position + 3 * i), direction = rotated(pose, normal + 3 * i);
    const float place[3] = {p.x, p.y, p.z}, facing[3] = {direction.x, direction.y, direction.z};
    std::copy_n(place, 3, moved_position + 3 * i);
    std::copy_n(facing, 3, moved_normal + 3 * i);
  }
}
