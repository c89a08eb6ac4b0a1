#include "jit/core/slow_path.h"

#include "cpu/operand_access.h"
#include "cpu/semantics/fp_environment.h"
#include "cpu/semantics/vector_checked.h"

namespace penumbra::jit {
namespace {

bool is_canonical(u64 linear) {
  i64 extended = static_cast<i64>(linear << 16) >> 16;
  return static_cast<u64>(extended) == linear;
}

}  // namespace

void SlowPath::set_mode(CodeMode mode) {
  mode_ = mode;
  rip_mask_ = mode.is_long() ? ~0ull : 0xffffffffull;
}

bool SlowPath::in_range(Segment segment, u64 linear, u32 size) {
  u64 last = linear + size - 1;
  // Flat segments of 32 bits end at 4 GiB; others were checked when their address was computed.
  bool flat =
      mode_.has(CodeMode::kFlatSegments) && segment != Segment::Fs && segment != Segment::Gs;
  bool inside =
      mode_.is_long() ? is_canonical(linear) && is_canonical(last) : !flat || last <= rip_mask_;
  if (!inside) fault_ = segment == Segment::Ss ? Fault::ss() : Fault::gp();
  return inside;
}

bool SlowPath::finish(const Expected<>& result) {
  if (result) return true;
  fault_ = result.error();
  return false;
}

bool SlowPath::read(Segment segment, u64 linear, void* out, u32 size) {
  return in_range(segment, linear, size) &&
         finish(mmu_.read(linear, out, size, Privilege::Current));
}

bool SlowPath::read_for_write(Segment segment, u64 linear, void* out, u32 size) {
  return in_range(segment, linear, size) && finish(mmu_.read_for_write(linear, out, size));
}

bool SlowPath::write(Segment segment, u64 linear, const void* in, u32 size) {
  return in_range(segment, linear, size) &&
         finish(mmu_.write(linear, in, size, Privilege::Current));
}

bool SlowPath::linear_address(Segment segment, u64 form, u64 offset, u64& linear) {
  u32 size = form & 0xff;
  Access access = form & 256 ? Access::Write : Access::Read;
  auto result = cpu::linear_address(context_, segment, offset, size, access);
  if (result) linear = *result;
  if (!result) fault_ = result.error();
  return result.has_value();
}

bool SlowPath::check_fpu() {
  constexpr u16 kErrorSummary = 1u << 7;
  const cpu::CpuState& s = context_.state;
  bool pending = (s.x87.status & kErrorSummary) && (s.cr0 & cpu::Cr0::kNe);
  if (pending) fault_ = Fault::of(Vector::Mf);
  return !pending;
}

bool SlowPath::check_aligned(u64 linear, u64 alignment) {
  if (linear % alignment == 0) return true;
  fault_ = Fault::gp();
  return false;
}

bool SlowPath::end_checked_sse(u64 form, cpu::Slot a, cpu::Slot b, cpu::Slot c) {
  cpu::CpuState& s = context_.state;
  auto vector_at = [&](cpu::Slot slot) {
    return load_from<cpu::VectorRegister>(reinterpret_cast<const u8*>(&s) + slot);
  };
  cpu::CheckedResult checked = cpu::end_checked(s.mxcsr, cpu::CheckedForm::decode(form),
                                                {vector_at(a), vector_at(b), vector_at(c)});
  s.mxcsr = checked.mxcsr;
  if (checked.raises) fault_ = Fault::of(s.cr4 & cpu::Cr4::kOsxmmexcpt ? Vector::Xm : Vector::Ud);
  return !checked.raises;
}

cpu::Outcome SlowPath::invoke(const translator::CallSite& site) {
  cpu::CpuState& s = context_.state;
  bool uses_fpu = site.call.effects & translator::UsesFpu;
  if (uses_fpu) s.mxcsr = cpu::fp_environment::leave(s.mxcsr);
  cpu::Outcome outcome = site.call.function(context_, site.operands);
  if (uses_fpu) cpu::fp_environment::enter(s.mxcsr);
  return outcome;
}

std::optional<Stop> SlowPath::call(const translator::CallSite& site,
                                   const translator::InstructionSite& at, i64 rest,
                                   const bool& valid) {
  cpu::CpuState& s = context_.state;
  cpu::Outcome outcome = invoke(site);
  if (!outcome) {
    fault_ = outcome.error();
    return Stop::Fault;
  }
  switch (*outcome) {
    case cpu::Next::Continue:
      // REP may have used up what the rest of the block needs.
      if (!valid || s.instructions_left < rest) return retire(at, Stop::Lookup);
      s.instructions_left -= rest;
      return {};
    case cpu::Next::EndBlock:
      return retire(at, Stop::Retired);
    case cpu::Next::Branch:
      s.instructions_left -= 1;
      return Stop::Retired;
    case cpu::Next::Repeat:
      return Stop::Repeat;
    case cpu::Next::Halt:
      return retire(at, Stop::Halt);
  }
  return Stop::Fault;
}

Stop SlowPath::retire(const translator::InstructionSite& at, Stop stop) {
  cpu::CpuState& s = context_.state;
  s.rip = rip_at(at.offset + at.length);
  s.instructions_left -= 1;
  return stop;
}

}  // namespace penumbra::jit
