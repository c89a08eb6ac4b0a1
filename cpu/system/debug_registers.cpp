// MOV to and from DR0..DR7 (SDM 3B 17.2).
#include "cpu/ops.h"
#include "cpu/system/forms.h"
#include "cpu/system/privilege.h"

namespace penumbra::cpu::ops {
namespace {

constexpr u64 kGeneralDetect = bit(13);
constexpr u64 kDr6Ones = 0xffff0ff0, kDr6Writable = 0xe00f;
constexpr u64 kDr7One = bit(10), kDr7Reserved = 0xd800;

/// DR4 and DR5 are DR6 and DR7 unless CR4.DE makes them undefined.
Expected<u8> register_number(const CpuState& state, u8 number) {
  if (number > 7) return undefined();
  if (number != 4 && number != 5) return number;
  if (state.cr4 & Cr4::kDe) return undefined();
  return static_cast<u8>(number + 2);
}

/// DR7.GD.
Expected<> check_access(const CpuState& state) {
  if (!(state.dr7 & kGeneralDetect)) return {};
  Fault fault = Fault::of(Vector::Db);
  fault.dr6 = kGeneralDetect;
  return std::unexpected(fault);
}

u64 read_debug(const CpuState& state, u8 number) {
  return number == 6 ? state.dr6 : number == 7 ? state.dr7 : state.dr[number];
}

Expected<> write_debug(CpuState& state, u8 number, u64 value) {
  if (number >= 6 && value >> 32) return general_protection();
  if (number == 6) {
    state.dr6 = (value & kDr6Writable) | kDr6Ones;
  } else if (number == 7) {
    state.dr7 = (value & ~kDr7Reserved) | kDr7One;
  } else {
    state.dr[number] = value;
  }
  return {};
}

}  // namespace

Outcome mov_debug(CpuContext& ctx, const Operands& ops) {
  CpuState& state = ctx.state;
  bool reads = ops.at[1].kind == OperandKind::Debug;
  TRY(require_cpl0(state));
  TRY_ASSIGN(u8 number, register_number(state, ops.at[reads ? 1 : 0].reg));
  TRY(check_access(state));
  Width width = in_long_mode(state) ? Width::W64 : Width::W32;
  if (reads) {
    write_gpr(state, ops.at[0].reg, width, read_debug(state, number));
  } else {
    TRY(write_debug(state, number, state.gpr[ops.at[1].reg & 15] & mask(width)));
  }
  return Next::EndBlock;
}

}  // namespace penumbra::cpu::ops
