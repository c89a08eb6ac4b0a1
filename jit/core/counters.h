// What the engines of a vCPU counted since it exists.
#pragma once

#include "common/types.h"

namespace penumbra::jit {

struct EngineCounters {
  u64 stepped = 0;                   ///< instructions that tier 0 ran one by one
  u64 blocks = 0, instructions = 0;  ///< translated
  u64 lookups = 0, links = 0;        ///< of blocks that were not found in front; made
  u64 invalidations = 0;             ///< blocks whose code changed

  // -- of the baseline tier
  u64 code_bytes = 0, code_evictions = 0;  ///< generated; regions of code memory given up
  u64 translation_ns = 0;                  ///< of the host, from decoding to generated code
  u64 jumps_asked = 0, links_asked = 0;    ///< targets that generated code asked C++ for
  u64 ends_of_slice = 0, invalid = 0;      ///< blocks that were not entered, by cause
  struct SlowPaths {
    u64 loads = 0, stores = 0;  ///< misses of the shadow table
    u64 calls = 0;              ///< named operations
    u64 micro_ops = 0;          ///< without a stencil
    u64 flags = 0;              ///< of a kind that a stencil does not know
    u64 floating_point = 0, segments = 0, second_pages = 0, faults = 0;
  } slow;
};

}  // namespace penumbra::jit
