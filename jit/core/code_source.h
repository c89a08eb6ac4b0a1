// From RIP to a translated block: fetches, translates and marks the bytes as code.
//
// One per vCPU, shared by its engines. Faults are those of the instruction fetch.
#pragma once

#include "jit/core/block_key.h"
#include "jit/core/patched_code.h"
#include "jit/core/slow_path.h"
#include "translator/translate.h"

namespace penumbra::jit {

class CodeSource {
 public:
  struct Counters {
    u64 blocks = 0, instructions = 0;
  };
  /// Where control is: the block's key and addresses of its first byte.
  struct Location {
    BlockKey key;
    u64 linear = 0;
    GuestPhys physical;
  };
  struct Translated {
    BlockPlace place;
    translator::Block ir;
  };

  CodeSource(cpu::CpuContext& context, mmu::AddressSpace& space, mmu::Mmu& mmu, SlowPath& slow)
      : context_(context), space_(space), mmu_(mmu), slow_(slow) {}

  /// The block at state.rip; sets state.table and code_base. Fails with the fetch's fault.
  Expected<Location> locate(u32 mode);
  /// The block `offset` bytes behind the start of `page`, where control goes within it.
  Location in_page(const BlockPlace& from, u64 offset, u32 mode) const;
  /// At most `most` instructions.
  Expected<Translated> translate(const Location& at, u32 most, translator::BehindJump behind_jump);
  /// Tells the address space which bytes were translated, loaded ones apart.
  void mark(const BlockPlace& place);
  PatchedCode& patched() { return patched_; }
  /// Whether `linear` still translates to `code` for execution; fails with the fetch's fault.
  Expected<bool> same_code(u64 linear, const u8* code);
  /// Linear address of the page behind the one that runs.
  u64 next_page() const {
    return (context_.state.code_base + kPageSize + context_.state.code_segment_base) &
           slow_.linear_mask();
  }

  const Counters& counters() const { return counters_; }

 private:
  u64 linear_of(u64 rip) const {
    return (rip + context_.state.code_segment_base) & slow_.linear_mask();
  }

  cpu::CpuContext& context_;
  mmu::AddressSpace& space_;
  mmu::Mmu& mmu_;
  SlowPath& slow_;
  PatchedCode patched_;
  frontend::DecodeCache decoder_;
  Counters counters_;
};

}  // namespace penumbra::jit
