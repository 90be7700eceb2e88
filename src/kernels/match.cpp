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
  int64_t* cubes;  // [slots / 64] a bit for each cube of voxels in which a match may begin, by its hash
  int64_t slots;   // a power of two
  int64_t empty;   // key of a free slot
  int64_t golden;  // multiplier of the hash
  int64_t levels;  // bit l: voxels of level lowest + l exist
  int64_t lowest, highest, coordinate_bits;
  int64_t first_offset, last_offset;  // levels that are searched, relative to a surfel's own
  float merge_factor, two_merge_factors, min_cosine;
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

// Returns 2^exponent, of what floats have.
VMEM_INLINE float power_of_two(int64_t exponent) {
  const uint32_t bits = static_cast<uint32_t>(exponent + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return power;
}

// Returns log2 of the side of a surfel's voxel: the smallest that is at least twice its merge distance.
VMEM_INLINE int64_t level_of(const VmemVoxels& voxels, float radius) {
  const float side = voxels.two_merge_factors * radius;
  uint32_t bits;
  std::memcpy(&bits, &side, sizeof bits);
  const int32_t rounded_up = static_cast<int32_t>(bits + 0x7FFFFF);
  return std::min(std::max(static_cast<int64_t>(rounded_up >> 23) - 127, voxels.lowest), voxels.highest);
}

// Returns the bit of the cube of 8 x 8 x 8 voxels in which a voxel lies.
VMEM_INLINE uint64_t cube_of(const VmemVoxels& voxels, int64_t key) {
  const int64_t within = 7, bits = voxels.coordinate_bits;
  return first_slot(voxels, key & ~(within | within << bits | within << 2 * bits));
}

VMEM_INLINE bool is_noted(const VmemVoxels& voxels, int64_t key) {
  const uint64_t cube = cube_of(voxels, key);
  return voxels.cubes[cube / 64] >> cube % 64 & 1;
}

// Notes a voxel for all searches that may meet it: they begin there, or one voxel below along some axes.
VMEM_INLINE void note_voxel(const VmemVoxels& voxels, int64_t key) {
  for (int64_t octant = 0; octant < 8; ++octant) {
    int64_t first = key;
    bool elsewhere = true;
    for (int axis = 0; axis < 3; ++axis) {
      const int64_t shift = axis * voxels.coordinate_bits;
      if (!(octant >> axis & 1)) continue;
      // Within a cube nothing changes.
      elsewhere &= (key >> shift & 7) == 0;
      first -= int64_t{1} << shift;
    }
    if (!elsewhere) continue;
    const uint64_t cube = cube_of(voxels, first);
    voxels.cubes[cube / 64] |= static_cast<int64_t>(uint64_t{1} << cube % 64);
  }
}

VMEM_INLINE int64_t packed(const VmemVoxels& voxels, float coordinate) {
  const int64_t bias = int64_t{1} << (voxels.coordinate_bits - 1);
  const float lowest = static_cast<float>(1 - bias), highest = static_cast<float>(bias - 2);
  return static_cast<int64_t>(std::min(std::max(coordinate, lowest), highest)) + bias;
}

// A voxel in which a match of a surfel can be.
struct Place {
  int64_t surfel, key;
  uint64_t slot;
};

// The newest surfel of such a voxel.
struct Candidate {
  int64_t surfel;
  int32_t head;
};

// So many surfels are looked up at once, and no surfel has more places: eight a level; the latter is checked in
// vmem_ros/memory/surfel/compiled_matching.py.
constexpr int64_t kAtOnce = 16, kMostPlaces = 64;

// Adds the voxels in which a match of one surfel can be.
VMEM_INLINE int64_t add_places(const VmemOriented& fresh, int64_t i, const VmemVoxels& voxels, Place* places) {
  const float* p = fresh.position + 3 * i;
  const int64_t own_level = level_of(voxels, fresh.radius[i]);
  int64_t n = 0;
  for (int64_t level = own_level + voxels.first_offset; level <= own_level + voxels.last_offset; ++level) {
    const int64_t bit = level - voxels.lowest;
    if (bit < 0 || bit > 62 || !(voxels.levels >> bit & 1)) continue;
    // A match is within the reach of both, and that of what lies on this level is at most half a voxel's side.
    const float side = power_of_two(level), per_side = power_of_two(-level);
    const float farthest = std::min(voxels.merge_factor * fresh.radius[i], side / 2) * 1.0001f;
    int64_t corner = bit << (3 * voxels.coordinate_bits), wide = 0;
    for (int axis = 0; axis < 3; ++axis) {
      const int64_t shift = (2 - axis) * voxels.coordinate_bits;
      const int64_t low = packed(voxels, std::floor((p[axis] - farthest) * per_side));
      if (packed(voxels, std::floor((p[axis] + farthest) * per_side)) > low) wide |= 4 >> axis;
      corner |= low << shift;
    }
    // Most places have no surfels that are much finer: the table is not asked about them.
    if (!is_noted(voxels, corner)) continue;
    // So it is in one of at most eight voxels: those that the ball around the point meets.
    for (int64_t octant = 0; octant < 8; ++octant) {
      if (octant & ~wide) continue;
      const int64_t key = corner + ((octant >> 2 & 1) << (2 * voxels.coordinate_bits)) +
                          ((octant >> 1 & 1) << voxels.coordinate_bits) + (octant & 1);
      places[n++] = {i, key, first_slot(voxels, key)};
    }
  }
  return n;
}

// Keeps the match of a surfel among those of one voxel, if it is the nearest so far.
VMEM_INLINE void match_in(const VmemOriented& fresh, const Candidate& candidate, const VmemOriented& old,
                          const VmemVoxels& voxels, const uint8_t* barred, int64_t& best, float& nearest) {
  const int64_t i = candidate.surfel;
  const float *p = fresh.position + 3 * i, *n = fresh.normal + 3 * i;
  const float own_reach = voxels.merge_factor * fresh.radius[i];
  for (int64_t j = candidate.head; j >= 0; j = voxels.next[j]) {
    const float *q = old.position + 3 * j, *m = old.normal + 3 * j;
    const float x = p[0] - q[0], y = p[1] - q[1], z = p[2] - q[2];
    const float squared = x * x + y * y + z * z;
    if (!(squared <= own_reach * own_reach)) continue;
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

// The tables are large, and each surfel's voxels are elsewhere: what some surfels need is fetched together.
VMEM_CLONES void match_range(const VmemOriented& fresh, int64_t begin, int64_t end, const VmemOriented& old,
                             const VmemVoxels& voxels, const uint8_t* barred, int64_t* found) {
  Place places[kAtOnce * kMostPlaces];
  Candidate candidates[kAtOnce * kMostPlaces];
  for (; begin < end; begin += kAtOnce) {
    int64_t n_places = 0, n_candidates = 0;
    float nearest[kAtOnce];
    for (int64_t i = begin; i < std::min(begin + kAtOnce, end); ++i) {
      const int64_t more = add_places(fresh, i, voxels, places + n_places);
      for (int64_t k = n_places; k < n_places + more; ++k) {
        __builtin_prefetch(voxels.keys + places[k].slot);
        __builtin_prefetch(voxels.heads + places[k].slot);
      }
      n_places += more;
      found[i] = -1;
    }
    for (int64_t k = 0; k < n_places; ++k) {
      const uint64_t slot = slot_of(voxels, places[k].key, places[k].slot);
      if (voxels.keys[slot] != places[k].key || voxels.heads[slot] < 0) continue;
      const int32_t head = voxels.heads[slot];
      __builtin_prefetch(old.position + 3 * head);
      __builtin_prefetch(old.radius + head);
      __builtin_prefetch(old.normal + 3 * head);
      __builtin_prefetch(voxels.next + head);
      candidates[n_candidates++] = {places[k].surfel, head};
    }
    for (int64_t k = 0; k < n_candidates; ++k) {
      const int64_t i = candidates[k].surfel;
      match_in(fresh, candidates[k], old, voxels, barred, found[i], nearest[i - begin]);
    }
  }
}

}  // namespace

// Writes for each new surfel the index of its match, or -1, to found [new].
//
// barred [old], or null: surfels that match nothing.
extern "C" void vmem_match(const VmemOriented* fresh, const VmemOriented* old, const VmemVoxels* voxels,
                           const uint8_t* barred, int64_t* found, int64_t threads) {
  constexpr int64_t at_once = 256;
  vmem::in_parallel((fresh->n + at_once - 1) / at_once, threads, [&](int64_t part) {
    const int64_t begin = part * at_once, end = std::min(begin + at_once, fresh->n);
    match_range(*fresh, begin, end, *old, *voxels, barred, found);
  });
}

// Notes all voxels of a table whose `cubes` are empty.
extern "C" void vmem_note_voxels(const VmemVoxels* voxels) {
  for (int64_t slot = 0; slot < voxels->slots; ++slot) {
    if (voxels->keys[slot] != voxels->empty) note_voxel(*voxels, voxels->keys[slot]);
  }
}

// Inserts surfels numbered first, first + 1, ... in their order, and returns how many voxels are new.
//
// position [n, 3] and radius [n]; the table has free slots enough. What `next` has from `first` on is written, and
// levels: bit l of those on which surfels were inserted.
extern "C" int64_t vmem_insert(const VmemVoxels* voxels, const float* position, const float* radius, int64_t n,
                               int64_t first, int64_t* levels) {
  int64_t taken = 0;
  *levels = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t level = level_of(*voxels, radius[i]);
    *levels |= int64_t{1} << (level - voxels->lowest);
    const float per_side = power_of_two(-level);
    int64_t key = (level - voxels->lowest) << (3 * voxels->coordinate_bits);
    for (int axis = 0; axis < 3; ++axis) {
      key |= packed(*voxels, std::floor(position[3 * i + axis] * per_side)) << ((2 - axis) * voxels->coordinate_bits);
    }
    const uint64_t slot = slot_of(*voxels, key, first_slot(*voxels, key));
    if (voxels->keys[slot] != key) {
      voxels->keys[slot] = key;
      voxels->heads[slot] = -1;
      note_voxel(*voxels, key);
      ++taken;
    }
    voxels->next[first + i] = voxels->heads[slot];
    voxels->heads[slot] = static_cast<int32_t>(first + i);
  }
  return taken;
}
