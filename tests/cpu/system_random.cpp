// Random states and operands through every system operation: nothing crashes, and a fault leaves
// the state as it was (cpu/context.h), save what the manual commits before a late fault.
#include <catch2/catch.hpp>

#include <random>

#include "common/archive.h"
#include "cpu/interrupts.h"
#include "cpu/mode.h"
#include "cpu/ops.h"
#include "cpu/system/forms.h"
#include "fake_machine.h"

using namespace penumbra;
using namespace penumbra::cpu;
using namespace penumbra::cpu::test;

namespace {

// The effects of the rows; only WritesFlags matters here.
enum : u8 { NoEffects = 0, ReadsFlags = 1, WritesFlags = 2, EndsBlock = 4 };

struct Operation {
  const char* name;
  NamedOperation run;
  u8 effects;
};

const Operation kOperations[] = {
#define PENUMBRA_LIFT(mnemonic, feature, function, argument)
#define PENUMBRA_NAMED(mnemonic, feature, function, effects) {#mnemonic, ops::function, effects},
#include "cpu/instructions/system.def"
#undef PENUMBRA_NAMED
#undef PENUMBRA_LIFT
    {"MOV CR", ops::mov_control, NoEffects},   {"MOV DR", ops::mov_debug, NoEffects},
    {"MOV Sreg", ops::mov_segment, NoEffects}, {"PUSH Sreg", ops::push_segment, NoEffects},
    {"POP Sreg", ops::pop_segment, NoEffects}, {"JMP far", ops::jmp_far, WritesFlags},
    {"CALL far", ops::call_far, WritesFlags},  {"RET far", ops::ret_far, NoEffects},
};

/// Draws states that a guest could reach, with tables full of plausible and other descriptors.
class Draw {
 public:
  explicit Draw(u32 seed) : engine_(seed) {}

  u64 bits() { return engine_(); }
  u32 below(u32 bound) { return static_cast<u32>(bits() % bound); }
  bool one_in(u32 n) { return below(n) == 0; }
  u64 address() {
    if (one_in(20)) return bits();
    return one_in(20) ? FlatMemory::kSize - below(16) : below(FlatMemory::kSize);
  }

  void fill_tables(FakeMachine& m) {
    for (u64 at = FakeMachine::kGdt; at < FakeMachine::kTss; at += 8)
      m.memory.put(at, table_entry());
    for (u64 at = FakeMachine::kTss; at < FakeMachine::kTss + 0x1000; at += 4)
      m.memory.put<u32>(at, one_in(2) ? selector() : static_cast<u32>(address()));
    for (u64 at = 0x5000; at < 0xc000; at += 4)
      m.memory.put<u32>(at, one_in(2) ? selector() : static_cast<u32>(address()));
  }

  void fill_state(FakeMachine& m) {
    u32 mode = below(8);
    mode < 4 ? m.enter_long() : mode < 7 ? m.enter_protected() : m.enter_v86();
    CpuState& s = m.state;
    if (mode < 7) m.run_at(one_in(2) ? 3 : 0);
    if (mode == 6) leave_protection(s);
    if (mode == 3) s.seg(Segment::Cs).attributes ^= SegmentRegister::kLong | SegmentRegister::kBig;
    for (u64& reg : s.gpr) reg = address();
    s.reg(Reg::Rsp) = one_in(10) ? address() : 0x5000 + below(0x6000);
    s.set_flags((s.flags() & Flag::kVm) | (bits() & 0x247fd5));
    s.cr4 |= bits() & (Cr4::kTsd | Cr4::kUmip | Cr4::kFsgsbase | Cr4::kOsxsave | Cr4::kDe);
    s.sysenter_cs = below(0x100);
    s.star = bits();
    s.lstar = address();
    if (one_in(2)) s.ldtr = {FakeMachine::kGdt, below(0x1000), 0x82, 0x40};
    s.tr.limit = below(0x100);
    if (one_in(8)) s.tr.attributes = 0x83;
    if (one_in(4)) s.gdtr.limit = static_cast<u16>(below(0x400));
    if (one_in(4)) s.dr7 |= 0x2000;
    m.memory.absent.clear();
    m.memory.read_only.clear();
    if (one_in(3)) m.memory.absent.insert(below(16));
    if (one_in(3)) m.memory.read_only.insert(below(16));
  }

  Operands operands() {
    static constexpr u16 kSizes[] = {1, 2, 4, 8};
    static constexpr Width kWidths[] = {Width::W16, Width::W32, Width::W64};
    Operands ops;
    for (Operand& operand : ops.at)
      operand = {static_cast<OperandKind>(below(14)), static_cast<u8>(below(8)), kSizes[below(4)],
                 false};
    ops.count = static_cast<u8>(below(4));
    ops.length = static_cast<u8>(1 + below(15));
    ops.width = kWidths[below(3)];
    ops.address_width = kWidths[below(3)];
    ops.memory.segment = static_cast<Segment>(below(6));
    ops.memory.displacement = static_cast<i64>(address());
    if (one_in(4)) ops.memory.base = static_cast<u8>(below(17));
    ops.immediate = one_in(2) ? below(256) : address();
    ops.selector = static_cast<u16>(selector());
    return ops;
  }

  Event event() {
    Event event = Event::of(static_cast<EventSource>(below(6)), static_cast<u8>(below(64)));
    event.has_error_code = one_in(3);
    event.error_code = static_cast<u32>(bits());
    event.restart = one_in(2);
    return event;
  }

 private:
  static void leave_protection(CpuState& s) {
    s.cr0 &= ~Cr0::kPe;
    s.cpl = 0;
    for (auto& segment : s.segment) segment = {0x5000, 0xffff, 0x93, 0x500};
  }
  u32 selector() { return below(0x400); }
  u64 table_entry() {
    u8 access = static_cast<u8>(bits() | 0x80);
    u8 flags = static_cast<u8>(below(16));
    if (one_in(2)) return descriptor(static_cast<u32>(address()), below(0x100000), access, flags);
    return gate(static_cast<u16>(selector()), static_cast<u32>(address()), access & 0xef,
                static_cast<u8>(below(32)));
  }

  std::mt19937_64 engine_;
};

std::vector<u8> image(CpuState& state) {
  Archive archive = Archive::saver();
  archive(state);
  return archive.take();
}

/// IRET unblocks NMIs even if it faults; a task switch may fault when the new task is there.
bool left_alone(CpuState& before, CpuState& after) {
  after.nmi_blocked = before.nmi_blocked;
  bool switched = after.tr.selector != before.tr.selector || (after.cr0 & ~before.cr0 & Cr0::kTs);
  return switched || image(before) == image(after);
}

}  // namespace

TEST_CASE("a fault of any system operation leaves the state as it was", "[system]") {
  Draw draw(20240801);
  FakeMachine m;
  for (const Operation& operation : kOperations) {
    u32 faults = 0, kept = 0, outside_modes = 0;
    draw.fill_tables(m);
    for (int i = 0; i < 2000; ++i) {
      draw.fill_state(m);
      Operands operands = draw.operands();
      CpuState before = m.state;
      auto outcome = operation.run(m.ctx, operands);
      outside_modes += code_mode(m.state, false).cpl() != m.state.cpl;
      if (outcome) continue;
      ++faults;
      kept += left_alone(before, m.state);
    }
    INFO(operation.name);
    CHECK(kept == faults);
    CHECK(outside_modes == 0);
  }
}

TEST_CASE("an operation that does not say so leaves the lazy flags alone", "[system]") {
  Draw draw(20240804);
  FakeMachine m;
  for (const Operation& operation : kOperations) {
    if (operation.effects & WritesFlags) continue;
    u32 touched = 0;
    draw.fill_tables(m);
    for (int i = 0; i < 500; ++i) {
      draw.fill_state(m);
      m.state.set_lazy_flags(FlagKind::Sub32, draw.bits() & mask(Width::W32),
                             draw.bits() & mask(Width::W32));
      m.state.flag_modifier = FlagKind::Carry;
      m.state.flag_patch = draw.bits();
      CpuState before = m.state;
      (void)operation.run(m.ctx, draw.operands());
      touched +=
          m.state.flag_kind != before.flag_kind || m.state.flag_modifier != before.flag_modifier ||
          m.state.flag_patch != before.flag_patch || m.state.flag_result != before.flag_result ||
          m.state.flag_source != before.flag_source;
    }
    INFO(operation.name);
    CHECK(touched == 0);
  }
}

TEST_CASE("any event is delivered, or the processor shuts down with a reason", "[system]") {
  Draw draw(20240802);
  FakeMachine m;
  u32 delivered = 0, shutdowns = 0, silent = 0;
  for (int i = 0; i < 20000; ++i) {
    if (i % 500 == 0) draw.fill_tables(m);
    draw.fill_state(m);
    auto result = deliver(m.ctx, draw.event());
    delivered += result.kind == Delivery::Kind::Delivered;
    shutdowns += result.kind == Delivery::Kind::Shutdown;
    silent += result.kind == Delivery::Kind::Shutdown && result.detail.empty();
  }
  CHECK(delivered + shutdowns == 20000);
  CHECK(delivered > 100);
  CHECK(silent == 0);
}

TEST_CASE("a delivery that faults leaves the state as it was", "[system]") {
  Draw draw(20240803);
  FakeMachine m;
  u32 faults = 0, kept = 0;
  for (int i = 0; i < 20000; ++i) {
    if (i % 500 == 0) draw.fill_tables(m);
    draw.fill_state(m);
    CpuState before = m.state;
    if (deliver_once(m.ctx, draw.event())) continue;
    ++faults;
    kept += left_alone(before, m.state);
  }
  CHECK(kept == faults);
  CHECK(faults > 1000);
}
