// The borders between C++ and generated code: entering, leaving, slow paths.
//
// Written in assembly because both sides' registers are in use there. Generated code reaches these
// through a table of jumps in its own memory.
#pragma once

#include "cpu/state.h"
#include "jit/stencil/native_block.h"

namespace penumbra::jit {

/// Why generated code came back to C++. record is the block, or nothing.
struct Leave {
  enum class Reason : u64 {
    Slice,    ///< record: the NativeBlock that does not fit the slice
    Stale,    ///< record: the NativeBlock, invalid, that was about to be entered
    Stopped,  ///< C++ that generated code called stopped it
  };
  void* record;
  Reason reason;
};

/// Runs generated code at `code` until it leaves.
Leave enter_native(cpu::CpuState* s, const u8* code);

/// Called by generated code with the registers of the guest in place: rax = the site, rdx = a
/// linear address. Comes back, goes to other code, or leaves with Stopped, as slow_path() says.
/// The first is for hosts with AVX.
extern "C" void penumbra_slow_avx();
extern "C" void penumbra_slow_sse();
/// The same for stores. Comes back with ZF set behind the store, or clear where it is still to be
/// done, at the host address rdx, without consequences.
extern "C" void penumbra_slow_store_avx();
extern "C" void penumbra_slow_store_sse();
/// The same for sites that make the flags explicit, which keep the unit, come back, and nothing
/// else.
extern "C" void penumbra_flags_avx();
extern "C" void penumbra_flags_sse();
/// Jump targets; rax = the record.
extern "C" void penumbra_leave_slice();
extern "C" void penumbra_leave_stale();
/// To the target of an exit (rax = the NativeExit) that is not linked or whose cache did not fit.
extern "C" void penumbra_link();
/// To the block at RIP = rdx.
extern "C" void penumbra_lookup();

/// What those for stores ask first: the host address, or nullptr. It keeps all registers but
/// r11 and rax.
extern "C" __attribute__((preserve_most)) u8* penumbra_harmless_store(cpu::CpuState* s,
                                                                      const Site* site, u64 linear);
/// What those for flags call; it keeps the same registers.
extern "C" __attribute__((preserve_most)) void penumbra_make_flags(cpu::CpuState* s,
                                                                   const Site* site);
/// What the slow paths call: kBehindSite, or the code to go to, or nullptr to leave. `vectors` are
/// the host's 16 vector registers, where the site names any.
extern "C" const u8* penumbra_slow_path(cpu::CpuState* s, const Site* site,
                                        cpu::VectorRegister* vectors);
/// What penumbra_link() and penumbra_lookup() call: the code to go to, or nullptr to leave.
extern "C" const u8* penumbra_follow_exit(cpu::CpuState* s, NativeExit* exit);
extern "C" const u8* penumbra_find_code(cpu::CpuState* s);
inline const u8* const kBehindSite = reinterpret_cast<const u8*>(1);

}  // namespace penumbra::jit
