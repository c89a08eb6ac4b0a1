// A block of generated code and what its slow paths have to know.
//
// Sites and exits are named by address in the code, so they stay where they are and live as long as
// the code's memory, also when the block is no longer valid.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "jit/core/block_key.h"
#include "jit/stencil/far_link.h"
#include "translator/ir/block.h"

namespace penumbra::jit {

struct NativeBlock;
struct Uop;

/// A vector register of the host and the slot that it stands for.
struct HeldVector {
  translator::Slot slot;
  u8 host;
  bool is_wide;  ///< 256 bits, else 128
};

/// A place where control may leave the straight code for C++.
struct Site {
  enum class Kind : u8 {
    Load,
    LoadForWrite,
    LoadVector,
    Store,
    StoreVector,
    Linear,
    Divide,  ///< immediate 1: signed
    CheckFpu,
    BeginSse,
    EndSse,
    Call,
    Raise,
    Execute,        ///< a micro-op without a stencil
    NextPage,       ///< the second page of a block that crosses
    ExplicitFlags,  ///< makes the flags explicit, then the micro-op is tried again
    Misaligned,
    BadTarget,  ///< immediate 1: tier 0 says which fault it is
  };
  static constexpr size_t kKinds = static_cast<size_t>(Kind::BadTarget) + 1;
  static constexpr u16 kNoMark = 0xffff;
  NativeBlock* owner;
  union {
    u64 immediate = 0;
    const translator::CallSite* call;  ///< of a Call
    const Uop* program;                ///< of an Execute
  };
  Kind kind;
  Width width = Width::W64;
  Segment segment = Segment::Ds;
  cpu::FlagState flags_before;
  u16 instruction = 0;
  u16 unit_mark = kNoMark;  ///< of NativeBlock::unit_marks: what is not in the state yet
  /// Where a loaded value goes or a stored one comes from; kNoSlot: the immediate.
  translator::Slot slot = translator::kNoSlot;
  translator::Slot address = translator::kNoSlot;  ///< of Linear: the offset; second operand
  translator::Slot third = translator::kNoSlot;    ///< of EndSse and Divide: the last operand
  u8 newer = 0, wanted = 0;
  /// In the block's held_vectors: `newer` than their slots when control leaves, then `wanted` in
  /// their registers when it comes back.
  u32 first_vector = 0;
};
static_assert(sizeof(Site) == 40);  // a Linux guest has hundreds of thousands

/// The x87 unit's pointers behind an instruction in generated code.
struct UnitMark {
  u16 offset = 0;                ///< of the instruction, for FIP
  u16 opcode = 0;                ///< FOP
  Segment data = Segment::None;  ///< whose selector FDS is; None: unchanged
};

/// A jump to a block that is known when it is first taken.
struct NativeExit {
  NativeBlock* owner;
  u64 offset;     ///< of the target from the code base; beyond the page where far
  u32 field = 0;  ///< of the jump's distance, or of `returns`' address, in the block's code
  u32 stub = 0;   ///< where it goes while it is not linked
  NativeBlock* target = nullptr;
  FarLinkCache* far = nullptr;  ///< where it leaves the page
  bool returns = false;         ///< it is no jump but the address of the code behind a call
  bool leaves_page() const { return offset >= kPageSize; }
};

class CodeMemory;

struct NativeBlock {
  BlockPlace place;
  bool valid = true;
  u16 offset = 0;  ///< of the first instruction in its page
  u16 instruction_count = 0;
  u16 exit_count = 0;
  u32 site_count = 0;
  CodeMode mode;
  u32 size = 0;        ///< of the code
  u8* code = nullptr;  ///< executable address of the first byte: dynamic jumps, RIP in rdx
  /// Once the block is invalid, an entry jumps to its `stale`; `replaced` is what stood there.
  struct Entry {
    u8* code = nullptr;  ///< executable address; nullptr: there is none
    u8* stale = nullptr;
    std::array<u8, 5> replaced{};
  };
  Entry start;  ///< behind the first instructions: of jumps that know the code base to be right
  Entry again;  ///< of the block's own loops, which keep the registers' assignment
  FarLinkCache
      second_page;  ///< where crosses_page: the key and base at which it was looked at last
  std::unique_ptr<u8[]> original;  ///< place.size bytes of the guest, where they may come back
  CodeMemory* memory = nullptr;
  std::unique_ptr<translator::InstructionSite[]> instructions;
  std::unique_ptr<translator::CallSite[]> calls;
  std::unique_ptr<Site[]> sites;
  std::unique_ptr<NativeExit[]> exits;
  std::unique_ptr<Uop[]> programs;
  std::unique_ptr<HeldVector[]> held_vectors;
  std::unique_ptr<UnitMark[]> unit_marks;
  std::unique_ptr<FarLinkCache[]> far_links;
  std::vector<NativeExit*> incoming;

  u64 count() const { return instruction_count; }
  /// `exit`, of this block, goes straight to `to` until one of them is invalidated.
  void link(NativeExit& exit, NativeBlock& to);
  /// Takes the block out of all links; its entry leads to the lookup from now on.
  void unlink();
  /// Remembers the guest's bytes, so that the block can be used again when they return.
  void keep_original();
  bool is_original() const;
  /// Behind unlink(), where is_original(): the block is valid again.
  void revive();
};

}  // namespace penumbra::jit
