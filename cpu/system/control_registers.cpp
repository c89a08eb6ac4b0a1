#include "cpu/system/control_registers.h"

#include "cpu/mode.h"
#include "cpu/ops.h"
#include "cpu/system/forms.h"
#include "cpu/system/privilege.h"
#include "cpu/system/task_state.h"

namespace penumbra::cpu {
namespace {

constexpr u64 kCr0Defined = Cr0::kPe | Cr0::kMp | Cr0::kEm | Cr0::kTs | Cr0::kEt | Cr0::kNe |
                            Cr0::kWp | Cr0::kAm | Cr0::kNw | Cr0::kCd | Cr0::kPg;
constexpr u64 kCr0Translation = Cr0::kPg | Cr0::kWp | Cr0::kPe;
constexpr u64 kCr4Translation = Cr4::kPse | Cr4::kPae | Cr4::kPge | Cr4::kPcide | Cr4::kSmep |
                                Cr4::kSmap | Cr4::kPke | Cr4::kLa57;
constexpr u64 kCr3NoFlush = bit(63), kPcidMask = 0xfff;

struct FeatureBits {
  Feature feature;
  u64 bits;
};

u64 offered(const CpuModel& model, std::initializer_list<FeatureBits> rows) {
  u64 bits = 0;
  for (const FeatureBits& row : rows)
    if (model.has(row.feature)) bits |= row.bits;
  return bits;
}

/// Bits of CR4 that the model has; the others are reserved.
u64 cr4_defined(const CpuModel& model) {
  return Cr4::kPce | offered(model, {{Feature::Tsc, Cr4::kTsd},
                                     {Feature::De, Cr4::kDe},
                                     {Feature::Pse, Cr4::kPse},
                                     {Feature::Pae, Cr4::kPae},
                                     {Feature::Mce, Cr4::kMce},
                                     {Feature::Pge, Cr4::kPge},
                                     {Feature::Fxsr, Cr4::kOsfxsr},
                                     {Feature::Sse, Cr4::kOsxmmexcpt},
                                     {Feature::Umip, Cr4::kUmip},
                                     {Feature::Fsgsbase, Cr4::kFsgsbase},
                                     {Feature::Pcid, Cr4::kPcide},
                                     {Feature::Xsave, Cr4::kOsxsave},
                                     {Feature::Smep, Cr4::kSmep},
                                     {Feature::Smap, Cr4::kSmap}});
}

/// AutoIBRS (bit 21) is accepted and kept: without speculation it holds by itself.
u64 efer_defined(const CpuModel& model) {
  return offered(model, {{Feature::Syscall, Efer::kSce},
                         {Feature::LongMode, Efer::kLme},
                         {Feature::LongMode, Efer::kLma},
                         {Feature::Nx, Efer::kNxe},
                         {Feature::Base, kEferAutoIbrs}});
}

/// Turning paging on or off enters or leaves long mode when EFER.LME is set (SDM 3A 9.8.5).
Expected<u64> efer_after(const CpuState& state, u64 cr0) {
  bool paging = cr0 & Cr0::kPg;
  if (paging == static_cast<bool>(state.cr0 & Cr0::kPg)) return state.efer;
  if (!paging) return state.efer & ~Efer::kLma;
  if (!(state.efer & Efer::kLme)) return state.efer;
  bool refused = !(state.cr4 & Cr4::kPae) || tss_is_16bit(state.tr) ||
                 state.seg(Segment::Cs).has(SegmentRegister::kLong);
  if (refused) return general_protection();
  return state.efer | Efer::kLma;
}

bool cr0_refused(const CpuState& state, u64 value) {
  if (value >> 32) return true;
  if ((value & Cr0::kPg) && !(value & Cr0::kPe)) return true;
  if ((value & Cr0::kNw) && !(value & Cr0::kCd)) return true;
  bool paging_off = !(value & Cr0::kPg) && (state.cr0 & Cr0::kPg);
  return paging_off && (in_long_mode(state) || (state.cr4 & Cr4::kPcide));
}

}  // namespace

Expected<> write_cr0(CpuContext& ctx, u64 value) {
  CpuState& state = ctx.state;
  if (cr0_refused(state, value)) return general_protection();
  TRY_ASSIGN(u64 efer, efer_after(state, value));
  u64 changed = (state.cr0 ^ value) & kCr0Translation;
  state.cr0 = (value & kCr0Defined) | Cr0::kEt;
  state.efer = efer;
  if (changed) ctx.environment.paging_mode_changed();
  ctx.environment.paging_changed();
  return {};
}

Expected<> write_cr3(CpuContext& ctx, u64 value) {
  CpuState& state = ctx.state;
  bool long_active = state.efer & Efer::kLma;
  u64 stored = long_active ? value : value & 0xffffffffu;
  if (long_active) {
    if (state.cr4 & Cr4::kPcide) stored &= ~kCr3NoFlush;
    if (stored >> ctx.model.physical_address_bits()) return general_protection();
  }
  state.cr3 = stored;
  ctx.environment.cr3_written(long_active ? value : stored);
  return {};
}

Expected<> write_cr4(CpuContext& ctx, u64 value) {
  CpuState& state = ctx.state;
  if (value & ~cr4_defined(ctx.model)) return general_protection();
  bool long_active = state.efer & Efer::kLma;
  if (long_active && !(value & Cr4::kPae)) return general_protection();
  bool sets_pcide = (value & ~state.cr4) & Cr4::kPcide;
  if (sets_pcide && (!long_active || (state.cr3 & kPcidMask))) return general_protection();
  u64 changed = (state.cr4 ^ value) & kCr4Translation;
  state.cr4 = value;
  if (changed) ctx.environment.paging_mode_changed();
  ctx.environment.paging_changed();
  return {};
}

Expected<> write_efer(CpuContext& ctx, u64 value) {
  CpuState& state = ctx.state;
  if (value & ~efer_defined(ctx.model)) return general_protection();
  bool changes_lme = (value ^ state.efer) & Efer::kLme;
  if (changes_lme && (state.cr0 & Cr0::kPg)) return general_protection();
  u64 changed = (value ^ state.efer) & Efer::kNxe;
  state.efer = (value & ~Efer::kLma) | (state.efer & Efer::kLma);
  if (changed) ctx.environment.paging_mode_changed();
  ctx.environment.paging_changed();
  return {};
}

namespace ops {
namespace {

/// AMD: LOCK MOV CR0 is CR8 in legacy mode (CPUID 8000_0001h ECX[4]).
u8 control_number(const CpuContext& ctx, const Operands& ops, unsigned operand) {
  bool alternate = ops.lock && ops.at[operand].reg == 0 && ctx.model.has(Feature::Cr8Legacy);
  return alternate ? 8 : ops.at[operand].reg;
}

Outcome read_control(CpuContext& ctx, const Operands& ops) {
  const CpuState& state = ctx.state;
  u64 value = 0;
  switch (control_number(ctx, ops, 1)) {
    case 0:
      value = state.cr0;
      break;
    case 2:
      value = state.cr2;
      break;
    case 3:
      value = state.cr3;
      break;
    case 4:
      value = state.cr4;
      break;
    case 8:
      value = ctx.environment.read_cr8();
      break;
    default:
      return undefined();
  }
  write_gpr(ctx.state, ops.at[0].reg, in_long_mode(state) ? Width::W64 : Width::W32, value);
  return Next::Continue;
}

Expected<> write_cr8(CpuContext& ctx, u64 value) {
  if (value > 15) return general_protection();
  ctx.environment.write_cr8(value);
  return {};
}

Outcome write_control(CpuContext& ctx, const Operands& ops) {
  u64 value = ctx.state.gpr[ops.at[1].reg & 15];
  if (!in_long_mode(ctx.state)) value &= 0xffffffffu;
  switch (control_number(ctx, ops, 0)) {
    case 0:
      TRY(write_cr0(ctx, value));
      break;
    case 2:
      ctx.state.cr2 = value;
      break;
    case 3:
      TRY(write_cr3(ctx, value));
      break;
    case 4:
      TRY(write_cr4(ctx, value));
      break;
    case 8:
      TRY(write_cr8(ctx, value));
      break;
    default:
      return undefined();
  }
  return Next::EndBlock;
}

}  // namespace

Outcome mov_control(CpuContext& ctx, const Operands& ops) {
  bool reads = ops.at[1].kind == OperandKind::Control;
  u8 number = control_number(ctx, ops, reads ? 1 : 0);
  if (number == 1 || (number > 4 && number != 8)) return undefined();
  TRY(require_cpl0(ctx.state));
  return reads ? read_control(ctx, ops) : write_control(ctx, ops);
}

Outcome clts(CpuContext& ctx, const Operands&) {
  TRY(require_cpl0(ctx.state));
  if (!(ctx.state.cr0 & Cr0::kTs)) return Next::Continue;
  ctx.state.cr0 &= ~Cr0::kTs;
  return Next::EndBlock;
}

/// Loads PE, MP, EM and TS; cannot clear PE.
Outcome lmsw(CpuContext& ctx, const Operands& ops) {
  constexpr u64 kLoaded = Cr0::kPe | Cr0::kMp | Cr0::kEm | Cr0::kTs;
  TRY(require_cpl0(ctx.state));
  TRY_ASSIGN(u64 source, read_operand(ctx, ops, 0));
  u64 value = (ctx.state.cr0 & ~(kLoaded & ~Cr0::kPe)) | (source & kLoaded);
  TRY(write_cr0(ctx, value));
  return Next::EndBlock;
}

/// Memory takes 16 bits; a register as many as its size, the upper bits from CR0.
Outcome smsw(CpuContext& ctx, const Operands& ops) {
  if (ctx.state.cpl != 0 && (ctx.state.cr4 & Cr4::kUmip)) return general_protection();
  TRY(write_operand(ctx, ops, 0, ctx.state.cr0));
  return Next::Continue;
}

}  // namespace ops
}  // namespace penumbra::cpu
