#include "cpu/vector/availability.h"

namespace penumbra::cpu {
namespace {

constexpr u16 kErrorSummary = 1u << 7;  // x87 status word, SDM 1, 8.1.3

Expected<> require_task_unswitched(const CpuState& state) {
  if (state.cr0 & Cr0::kTs) return std::unexpected(Fault::of(Vector::Nm));
  return {};
}

}  // namespace

Expected<> require_sse(const CpuState& state) {
  if ((state.cr0 & Cr0::kEm) || !(state.cr4 & Cr4::kOsfxsr)) return std::unexpected(Fault::ud());
  return require_task_unswitched(state);
}

Expected<> require_mmx(const CpuState& state) {
  if (state.cr0 & Cr0::kEm) return std::unexpected(Fault::ud());
  TRY(require_task_unswitched(state));
  if (state.x87.status & kErrorSummary) return std::unexpected(Fault::of(Vector::Mf));
  return {};
}

void enter_mmx(X87State& x87) {
  x87.set_top(0);
  x87.tags = 0xff;
}

}  // namespace penumbra::cpu
