// RDMSR and WRMSR (SDM 4; AMD: PPR of family 19h). An index that is not named here is #GP(0).
//
// The memory-type registers, HWCR, SYSCFG, NB_CFG and the machine-check banks are kept and checked
// but change nothing; DEBUGCTL reads as 0 (no branch records, no single-step on branches).
#include <iterator>
#include <optional>

#include "cpu/ops.h"
#include "cpu/system/control_registers.h"
#include "cpu/system/privilege.h"

namespace penumbra::cpu {
namespace {

enum class Check : u8 {
  Any,        ///< all 64 bits
  Canonical,  ///< #GP(0) unless canonical
  Low32,      ///< the upper half is dropped (AMD)
};

/// MSRs that are a field of the state.
struct FieldMsr {
  u32 index;
  u64 CpuState::* field;
  Check check;
  Feature feature;
};
constexpr FieldMsr kFields[] = {
    {0x174, &CpuState::sysenter_cs, Check::Low32, Feature::Sep},
    {0x175, &CpuState::sysenter_esp, Check::Canonical, Feature::Sep},
    {0x176, &CpuState::sysenter_eip, Check::Canonical, Feature::Sep},
    {0xc0000081, &CpuState::star, Check::Any, Feature::Syscall},
    {0xc0000082, &CpuState::lstar, Check::Canonical, Feature::LongMode},
    {0xc0000083, &CpuState::cstar, Check::Canonical, Feature::LongMode},
    {0xc0000084, &CpuState::sfmask, Check::Low32, Feature::LongMode},
    {0xc0000102, &CpuState::kernel_gs_base, Check::Canonical, Feature::LongMode},
    {0xc0000103, &CpuState::tsc_aux, Check::Low32, Feature::Rdtscp},
};

/// MSRs that are kept in StoredMsrs without an effect; `writable` bits beyond are #GP(0).
struct KeptMsr {
  u32 index;
  u64 StoredMsrs::* field;
  u64 writable;
};
constexpr KeptMsr kKept[] = {
    {0x17a, &StoredMsrs::mcg_status, 7},         {0x17b, &StoredMsrs::mcg_control, ~0ull},
    {0xc0010010, &StoredMsrs::syscfg, 0x7c0000}, {0xc0010015, &StoredMsrs::hwcr, 0xffffffff},
    {0xc001001f, &StoredMsrs::nb_cfg, ~0ull},
};

constexpr u32 kTsc = 0x10, kApicBase = 0x1b, kTscAdjust = 0x3b, kPatchLevel = 0x8b, kMtrrCap = 0xfe,
              kMcgCap = 0x179, kDebugControl = 0x1d9, kMtrrVariable = 0x200, kPat = 0x277,
              kMtrrDefault = 0x2ff, kXss = 0xda0, kMcBanks = 0x400, kTscDeadline = 0x6e0,
              kX2Apic = 0x800, kEfer = 0xc0000080, kFsBase = 0xc0000100, kGsBase = 0xc0000101,
              kHwcr = 0xc0010015, kDeConfig = 0xc0011029;
constexpr u32 kMtrrFixed[11] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                                0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
constexpr u32 kBanks = std::size(StoredMsrs{}.mc_bank), kVariableRanges = 8;
constexpr u64 kMcgControlPresent = bit(8);
/// VCNT 8, fixed ranges, write-combining.
constexpr u64 kMtrrCapabilities = kVariableRanges | bit(8) | bit(10);
constexpr u64 kMicrocode = 0x0a101148;
constexpr u64 kTscAtP0 = bit(24);           ///< HWCR: the TSC counts at the P0 frequency
constexpr u64 kMcStatusWritable = bit(18);  ///< HWCR
constexpr u64 kLfenceSerializes = bit(1);   ///< DE_CFG

bool between(u32 index, u32 first, u32 count) { return index - first < count; }
bool is_apic(u32 index) {
  return index == kApicBase || index == kTscDeadline || between(index, kX2Apic, 0x100);
}

/// UC, WC, WT, WP, WB.
bool is_memory_type(u64 type) { return type == 0 || type == 1 || (type >= 4 && type <= 6); }
bool are_memory_types(u64 value, bool uncached_minus) {
  for (unsigned i = 0; i < 8; ++i, value >>= 8)
    if (!is_memory_type(value & 0xff) && !(uncached_minus && (value & 0xff) == 7)) return false;
  return true;
}

/// Where a memory-type register is kept, and whether it takes `value`.
class MemoryTypes {
 public:
  MemoryTypes(CpuContext& ctx, u32 index)
      : msr_(ctx.state.msr), reserved_(~0ull << ctx.model.physical_address_bits()) {
    if (ctx.model.has(Feature::Mtrr)) find_mtrr(index);
    if (index == kPat && ctx.model.has(Feature::Pat)) set(msr_.pat, Kind::Pat);
  }

  u64* slot() const { return slot_; }
  bool takes(u64 value) const {
    switch (kind_) {
      case Kind::Pat:
        return are_memory_types(value, true);
      case Kind::Fixed:
        return are_memory_types(value, false);
      case Kind::Default:
        return !(value & ~0xcffull) && is_memory_type(value & 0xff);
      case Kind::Base:
        return !(value & (reserved_ | 0xf00)) && is_memory_type(value & 0xff);
      default:
        return !(value & (reserved_ | 0x7ff));
    }
  }

 private:
  enum class Kind : u8 { Pat, Fixed, Default, Base, Mask };

  void set(u64& slot, Kind kind) {
    slot_ = &slot;
    kind_ = kind;
  }
  void find_mtrr(u32 index) {
    if (index == kMtrrDefault) set(msr_.mtrr_default, Kind::Default);
    if (between(index, kMtrrVariable, 2 * kVariableRanges)) {
      u32 range = (index - kMtrrVariable) / 2;
      index & 1 ? set(msr_.mtrr_mask[range], Kind::Mask) : set(msr_.mtrr_base[range], Kind::Base);
    }
    for (u32 i = 0; i < std::size(kMtrrFixed); ++i)
      if (index == kMtrrFixed[i]) set(msr_.mtrr_fixed[i], Kind::Fixed);
  }

  StoredMsrs& msr_;
  u64 reserved_;
  u64* slot_ = nullptr;
  Kind kind_ = Kind::Pat;
};

u64& machine_check_slot(StoredMsrs& msr, u32 index) {
  return msr.mc_bank[(index - kMcBanks) / 4][(index - kMcBanks) % 4];
}
bool is_machine_check(const CpuModel& model, u32 index) {
  return model.has(Feature::Mca) && between(index, kMcBanks, 4 * kBanks);
}

/// Values that follow from the model or the clock.
std::optional<u64> computed(CpuContext& ctx, u32 index) {
  switch (index) {
    case kTsc:
      return ctx.environment.clock_tsc() + ctx.state.tsc_offset;
    case kPatchLevel:
      return kMicrocode;
    case kMcgCap:
      return kBanks | kMcgControlPresent;
    case kMtrrCap:
      return kMtrrCapabilities;
    case kDebugControl:
      return 0;
    case kXss:  // no supervisor component exists
      return ctx.model.has(Feature::Xsaves) ? std::optional<u64>(0) : std::nullopt;
    case kEfer:
      return ctx.state.efer;
    case kDeConfig:
      return kLfenceSerializes;
    case kHwcr:
      return ctx.state.msr.hwcr | kTscAtP0;
    default:
      return std::nullopt;
  }
}

/// FS.base and GS.base: members of a segment register.
u64* special_slot(CpuContext& ctx, u32 index) {
  bool has_long = ctx.model.has(Feature::LongMode);
  if (index == kFsBase && has_long) return &ctx.state.seg(Segment::Fs).base;
  if (index == kGsBase && has_long) return &ctx.state.seg(Segment::Gs).base;
  return nullptr;
}

const FieldMsr* find_field(const CpuModel& model, u32 index) {
  for (const FieldMsr& row : kFields)
    if (row.index == index && model.has(row.feature)) return &row;
  return nullptr;
}
const KeptMsr* find_kept(u32 index) {
  for (const KeptMsr& row : kKept)
    if (row.index == index) return &row;
  return nullptr;
}

Expected<u64> read_msr(CpuContext& ctx, u32 index) {
  CpuState& state = ctx.state;
  if (is_apic(index)) return ctx.environment.apic_read_msr(index);
  if (auto value = computed(ctx, index)) return *value;
  if (const FieldMsr* row = find_field(ctx.model, index)) return state.*row->field;
  if (const KeptMsr* row = find_kept(index)) return state.msr.*row->field;
  if (u64* slot = special_slot(ctx, index)) return *slot;
  if (u64* slot = MemoryTypes(ctx, index).slot()) return *slot;
  if (is_machine_check(ctx.model, index)) return machine_check_slot(state.msr, index);
  if (index == kTscAdjust && ctx.model.has(Feature::TscAdjust)) return state.tsc_adjust;
  return general_protection();
}

Expected<> write_field(CpuState& state, const FieldMsr& row, u64 value) {
  if (row.check == Check::Canonical && !is_canonical(value)) return general_protection();
  state.*row.field = row.check == Check::Low32 ? value & 0xffffffffu : value;
  return {};
}

/// A bank's STATUS takes only 0 unless HWCR allows more (APM 2 9.3.2.2).
Expected<> write_machine_check(StoredMsrs& msr, u32 index, u64 value) {
  bool status = (index - kMcBanks) % 4 == 1;
  if (status && value != 0 && !(msr.hwcr & kMcStatusWritable)) return general_protection();
  machine_check_slot(msr, index) = value;
  return {};
}

/// SDM 3B 17.17.3: both writes keep TSC - TSC_ADJUST what it was.
void write_tsc(CpuContext& ctx, u64 value) {
  u64 delta = value - (ctx.environment.clock_tsc() + ctx.state.tsc_offset);
  ctx.state.tsc_offset += delta;
  ctx.state.tsc_adjust += delta;
}
void write_tsc_adjust(CpuState& state, u64 value) {
  state.tsc_offset += value - state.tsc_adjust;
  state.tsc_adjust = value;
}

Expected<> write_checked(u64& slot, u64 value, bool allowed) {
  if (!allowed) return general_protection();
  slot = value;
  return {};
}

Expected<> write_msr(CpuContext& ctx, u32 index, u64 value) {
  CpuState& state = ctx.state;
  if (is_apic(index)) return ctx.environment.apic_write_msr(index, value);
  if (index == kEfer) return write_efer(ctx, value);
  if (index == kTsc) return write_tsc(ctx, value), Expected<>{};
  if (index == kTscAdjust && ctx.model.has(Feature::TscAdjust))
    return write_tsc_adjust(state, value), Expected<>{};
  if (const FieldMsr* row = find_field(ctx.model, index)) return write_field(state, *row, value);
  if (const KeptMsr* row = find_kept(index))
    return write_checked(state.msr.*row->field, value, !(value & ~row->writable));
  if (u64* slot = special_slot(ctx, index)) return write_checked(*slot, value, is_canonical(value));
  MemoryTypes types(ctx, index);
  if (types.slot()) return write_checked(*types.slot(), value, types.takes(value));
  if (is_machine_check(ctx.model, index)) return write_machine_check(state.msr, index, value);
  bool no_supervisor_state = index == kXss && value == 0 && ctx.model.has(Feature::Xsaves);
  bool ignored =
      index == kDeConfig || (index == kDebugControl && value < 0x40) || no_supervisor_state;
  if (ignored) return {};
  return general_protection();
}

}  // namespace

namespace ops {

Outcome rdmsr(CpuContext& ctx, const Operands&) {
  TRY(require_cpl0(ctx.state));
  TRY_ASSIGN(u64 value, read_msr(ctx, static_cast<u32>(ctx.state.reg(Reg::Rcx))));
  set_edx_eax(ctx.state, value);
  return Next::EndBlock;
}

Outcome wrmsr(CpuContext& ctx, const Operands&) {
  TRY(require_cpl0(ctx.state));
  TRY(write_msr(ctx, static_cast<u32>(ctx.state.reg(Reg::Rcx)), edx_eax(ctx.state)));
  return Next::EndBlock;
}

}  // namespace ops
}  // namespace penumbra::cpu
