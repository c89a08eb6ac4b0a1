// Runs a copied stencil on the host: loads every register, jumps to it and stores every register
// where it leaves.
//
// The code lies in pages that are mapped twice, once to write and once to run, with the constants
// in front. Vector registers are 128 bits wide where the host has no AVX.
#pragma once

#include "jit/stencil/copy.h"

namespace penumbra::jit::test {

struct alignas(32) Vector {
  u64 lanes[4] = {};
  friend bool operator==(const Vector&, const Vector&) = default;
};

/// Where control left: Next, or the continuation's kind.
enum class Way : u64 { Next, Taken, Slow, Exit, Elsewhere };

/// Where a continuation of the kind leaves.
Way way_of(HoleKind kind);

struct Registers {
  u64 general[16] = {};  ///< rsp is ignored
  Vector vectors[16];
  u64 has_avx = 0;
  Way way{};
  u64 flags = 2;  ///< RFLAGS
};

class Runner {
 public:
  Runner();
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  /// Copies the stencil; `fill` gets the address of the constants.
  void place(const StencilTables& tables, const Stencil& stencil, StencilFill fill);
  /// Runs what was placed.
  void run(Registers& registers) const;
  /// Code that leaves with Way::Elsewhere.
  u64 elsewhere() const { return run_address(kThunks + 16 * static_cast<u64>(Way::Elsewhere)); }
  /// What is at an offset of the code.
  const u8* code() const { return write_ + kCode; }

 private:
  static constexpr u64 kConstants = 0, kThunks = 0x4000, kCode = 0x5000, kSize = 0x8000;
  u64 run_address(u64 offset) const { return reinterpret_cast<u64>(run_) + offset; }
  void write_jump(u64 offset, u64 target);

  u8* write_ = nullptr;
  u8* run_ = nullptr;
};

}  // namespace penumbra::jit::test
