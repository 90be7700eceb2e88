// The nearest similar surfel of each new one: what VoxelHash.find in vmem_ros/memory/surfel/voxel_hash.py says.

#include <cmath>
#include <cstring>

#include "machine.hpp"

extern "C" {

struct VmemOriented {
  const float* position;    // [n, 3]
  const float* normal;      // [n, 3]
  const float* radius;      // [n]
  const float* provenance;  // [n]
  int64_t n;
};

struct VmemVoxels {
  int64_t* keys;   // [slots]
  int32_t* heads;  // [slots] newest surfel of the voxel
  int32_t* next;   // [surfels] the one before it in its voxel, or -1
  int64_t slots;   // a power of two
  int64_t empty;   // key of a free slot
  int64_t golden;  // multiplier of the hash
  int64_t levels;  // bit l: voxels of level lowest + l exist
  int64_t lowest, coordinate_bits;
  int64_t first_offset, last_offset;  // levels that are searched, relative to a surfel's own
  float merge_factor, min_cosine;
};
}

namespace {

// Returns the slot at which the search for a key begins.
VMEM_INLINE uint64_t first_slot(const VmemVoxels& voxels, int64_t key) {
  // As torch multiplies and shifts: with wrap-around, and the sign kept.
  const int64_t mixed = static_cast<int64_t>(static_cast<uint64_t>(key) * static_cast<uint64_t>(voxels.golden));
  return static_cast<uint64_t>(mixed ^ (mixed >> 32)) & static_cast<uint64_t>(voxels.slots - 1);
}

// Returns the slot of a key, or the free one that it would take, from a slot on.
VMEM_INLINE uint64_t slot_of(const VmemVoxels& voxels, int64_t key, uint64_t slot) {
  const uint64_t mask = static_cast<uint64_t>(voxels.slots - 1);
  while (voxels.keys[slot] != key && voxels.keys[slot] != voxels.empty) slot = (slot + 1) & mask;
  return slot;
}

VMEM_INLINE int64_t packed(const VmemVoxels& voxels, float coordinate) {
  const int64_t bias = int64_t{1} << (voxels.coordinate_bits - 1);
  const float lowest = static_cast<float>(1 - bias), highest = static_cast<float>(bias - 2);
  return static_cast<int64_t>(std::min(std::max(coordinate, lowest), highest)) + bias;
}

// The voxels in which a match of one surfel can be.
struct Search {
  static constexpr int kMost = 64;  // eight a level; checked in vmem_ros/memory/surfel/compiled_matching.py
  int n;
  int64_t key[kMost];
  uint64_t slot[kMost];
};

VMEM_INLINE void begin_search(const VmemOriented& fresh, int64_t i, int32_t own_level, const VmemVoxels& voxels,
                              Search& search) {
  const float* p = fresh.position + 3 * i;
  search.n = 0;
  for (int64_t level = own_level + voxels.first_offset; level <= own_level + voxels.last_offset; ++level) {
    const int64_t bit = level - voxels.lowest;
    if (bit < 0 || bit > 62 || !(voxels.levels >> bit & 1)) continue;
    // A match is within the reach of both, and that of what lies on this level is at most half a voxel's side.
    const float side = std::ldexp(1.0f, static_cast<int>(level));
    const float per_side = 1 / side;  // exact, of a power of two
    const float farthest = std::min(voxels.merge_factor * fresh.radius[i], side / 2) * 1.0001f;
    int64_t corner = bit << (3 * voxels.coordinate_bits), wide = 0;
    for (int axis = 0; axis < 3; ++axis) {
      const int64_t shift = (2 - axis) * voxels.coordinate_bits;
      const int64_t low = packed(voxels, std::floor((p[axis] - farthest) * per_side));
      if (packed(voxels, std::floor((p[axis] + farthest) * per_side)) > low) wide |= 4 >> axis;
      corner |= low << shift;
    }
    // So it is in one of at most eight voxels: those that the ball around the point meets.
    for (int64_t octant = 0; octant < 8; ++octant) {
      if (octant & ~wide) continue;
      const int64_t key = corner + ((octant >> 2 & 1) << (2 * voxels.coordinate_bits)) +
                          ((octant >> 1 & 1) << voxels.coordinate_bits) + (octant & 1);
      const uint64_t slot = first_slot(voxels, key);
      // The table is large, and the next surfel's voxels are elsewhere: it is fetched while others are looked up.
      __builtin_prefetch(voxels.keys + slot);
      search.key[search.n] = key;
      search.slot[search.n++] = slot;
    }
  }
}

VMEM_INLINE int64_t match_of(const VmemOriented& fresh, int64_t i, const Search& search, const VmemOriented& old,
                             const VmemVoxels& voxels, const uint8_t* barred) {
  const float *p = fresh.position + 3 * i, *n = fresh.normal + 3 * i;
  int64_t best = -1;
  float nearest = 0;
  for (int k = 0; k < search.n; ++k) {
    const uint64_t slot = slot_of(voxels, search.key[k], search.slot[k]);
    if (voxels.keys[slot] != search.key[k]) continue;
    for (int64_t j = voxels.heads[slot]; j >= 0; j = voxels.next[j]) {
      const float *q = old.position + 3 * j, *m = old.normal + 3 * j;
      const float x = p[0] - q[0], y = p[1] - q[1], z = p[2] - q[2];
      const float squared = x * x + y * y + z * z;
      const float reach = voxels.merge_factor * std::min(fresh.radius[i], old.radius[j]);
      if (!(squared <= reach * reach)) continue;
      if (!(n[0] * m[0] + n[1] * m[1] + n[2] * m[2] > voxels.min_cosine)) continue;
      if (fresh.provenance[i] > old.provenance[j]) continue;
      if (barred && barred[j]) continue;
      // Of equally near ones the oldest.
      if (best < 0 || squared < nearest || (squared == nearest && j < best)) {
        best = j;
        nearest = squared;
      }
    }
  }
  return best;
}

VMEM_CLONES void match_range(const VmemOriented& fresh, int64_t begin, int64_t end, const int32_t* own_level,
                             const VmemOriented& old, const VmemVoxels& voxels, const uint8_t* barred, int64_t* found) {
  // One is looked up while what the next needs is fetched.
  Search searches[2];
  if (begin < end) begin_search(fresh, begin, own_level[begin], voxels, searches[begin & 1]);
  for (int64_t i = begin; i < end; ++i) {
    if (i + 1 < end) begin_search(fresh, i + 1, own_level[i + 1], voxels, searches[(i + 1) & 1]);
    found[i] = match_of(fresh, i, searches[i & 1], old, voxels, barred);
  }
}

}  // namespace

// Writes for each new surfel the index of its match, or -1, to found [new].
//
// barred [old], or null: surfels that match nothing.
extern "C" void vmem_match(const VmemOriented* fresh, const int32_t* own_level, const VmemOriented* old,
                           const VmemVoxels* voxels, const uint8_t* barred, int64_t* found, int64_t threads) {
  constexpr int64_t at_once = 256;
  vmem::in_parallel((fresh->n + at_once - 1) / at_once, threads, [&](int64_t part) {
    const int64_t begin = part * at_once, end = std::min(begin + at_once, fresh->n);
    match_range(*fresh, begin, end, own_level, *old, *voxels, barred, found);
  });
}

// Inserts surfels numbered first, first + 1, ... in their order, and returns how many voxels are new.
//
// position [n, 3] and level [n]; the table has free slots enough. What `next` has from `first` on is written.
extern "C" int64_t vmem_insert(const VmemVoxels* voxels, const float* position, const int32_t* level, int64_t n,
                               int64_t first) {
  int64_t taken = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float side = std::ldexp(1.0f, level[i]);
    int64_t key = (level[i] - voxels->lowest) << (3 * voxels->coordinate_bits);
    for (int axis = 0; axis < 3; ++axis) {
      key |= packed(*voxels, std::floor(position[3 * i + axis] / side)) << ((2 - axis) * voxels->coordinate_bits);
    }
    const uint64_t slot = slot_of(*voxels, key, first_slot(*voxels, key));
    if (voxels->keys[slot] != key) {
      voxels->keys[slot] = key;
      voxels->heads[slot] = -1;
      ++taken;
    }
    voxels->next[first + i] = voxels->heads[slot];
    voxels->heads[slot] = static_cast<int32_t>(first + i);
  }
  return taken;
}
