// A second derivation of the privilege rules, from the manuals' pseudo-code alone (SDM 2: MOV, JMP,
// CALL, RET, IRET, INT n; SDM 3A 5 and 6), compared with cpu/ over all access bytes and levels.
//
// Deliberately naive: descriptors are a row of plain facts, every rule is one line in the order in
// which the pseudo-code states it, and nothing of cpu/segmentation.h is used.
#include <catch2/catch.hpp>

#include <random>

#include "cpu/interrupts.h"
#include "cpu/ops.h"
#include "cpu/system/forms.h"
#include "fake_machine.h"

using namespace penumbra;
using namespace penumbra::cpu;
using namespace penumbra::cpu::test;

namespace {

// -- the checker
// -------------------------------------------------------------------------------------

/// What table 3-1 and 3-2 of SDM 3A say of a type number.
struct Facts {
  bool segment, code, data, conforming, readable, writable;
  u8 type, dpl;
  bool present, l, d;
};

Facts facts_of(u8 access, u8 flags) {
  static const char* const kSegments[16] = {
      "data r", "data r", "data rw", "data rw", "data r", "data r", "data rw",  "data rw",
      "code",   "code",   "code r",  "code r",  "code c", "code c", "code c r", "code c r"};
  Facts f{};
  f.segment = access & 0x10;
  f.type = access % 16;
  f.dpl = (access / 32) % 4;
  f.present = access >= 0x80;
  f.l = flags & 2;
  f.d = flags & 4;
  if (!f.segment) return f;
  std::string text = kSegments[f.type];
  f.code = text.substr(0, 4) == "code";
  f.data = !f.code;
  f.conforming = text.find(" c") != std::string::npos;
  f.readable = text.find(" r") != std::string::npos;
  f.writable = text.find("rw") != std::string::npos;
  return f;
}

std::string fault(const char* name, unsigned code) {
  char text[32];
  std::snprintf(text, sizeof text, "%s(%x)", name, code);
  return text;
}

struct Level {
  u8 cpl, rpl;
  bool long_mode;
};

std::string expect_data_load(const Facts& f, Level at, u16 selector) {
  if (!f.segment) return fault("#GP", selector);
  if (f.code && !f.readable) return fault("#GP", selector);
  if ((f.data || !f.conforming) && (at.rpl > f.dpl || at.cpl > f.dpl))
    return fault("#GP", selector);
  if (!f.present) return fault("#NP", selector);
  return "ok";
}

std::string expect_stack_load(const Facts& f, Level at, u16 selector) {
  if (at.rpl != at.cpl) return fault("#GP", selector);
  if (!f.segment || !f.data || !f.writable) return fault("#GP", selector);
  if (f.dpl != at.cpl) return fault("#GP", selector);
  if (!f.present) return fault("#SS", selector);
  return "ok";
}

std::string expect_direct_transfer(const Facts& f, Level at, u16 selector) {
  if (!f.segment || !f.code) return fault("#GP", selector);
  if (at.long_mode && f.l && f.d) return fault("#GP", selector);
  if (f.conforming && f.dpl > at.cpl) return fault("#GP", selector);
  if (!f.conforming && (at.rpl > at.cpl || f.dpl != at.cpl)) return fault("#GP", selector);
  if (!f.present) return fault("#NP", selector);
  return "ok";
}

std::string expect_call_gate(const Facts& gate, const Facts& code, Level at, bool call,
                             u16 gate_selector, u16 code_selector) {
  if (gate.dpl < at.cpl || gate.dpl < at.rpl) return fault("#GP", gate_selector);
  if (!gate.present) return fault("#NP", gate_selector);
  if (!code.segment || !code.code) return fault("#GP", code_selector);
  if (at.long_mode && (!code.l || code.d)) return fault("#GP", code_selector);
  if (code.dpl > at.cpl) return fault("#GP", code_selector);
  if (!call && !code.conforming && code.dpl != at.cpl) return fault("#GP", code_selector);
  if (!code.present) return fault("#NP", code_selector);
  return "ok";
}

std::string expect_interrupt(const Facts& gate, const Facts& code, Level at, bool software,
                             unsigned vector, u16 code_selector) {
  unsigned ext = software ? 0 : 1;
  unsigned idt = vector * 8 + 2 + ext;
  bool gate32 = gate.type == 14 || gate.type == 15;
  bool gate16 = gate.type == 6 || gate.type == 7;
  if (gate.segment || !(gate32 || (gate16 && !at.long_mode))) return fault("#GP", idt);
  if (software && gate.dpl < at.cpl) return fault("#GP", idt);
  if (!gate.present) return fault("#NP", idt);
  if (!code.segment || !code.code || code.dpl > at.cpl) return fault("#GP", code_selector + ext);
  if (at.long_mode && (!code.l || code.d)) return fault("#GP", code_selector + ext);
  if (!code.present) return fault("#NP", code_selector + ext);
  return "ok";
}

std::string expect_return(const Facts& code, Level at, u16 selector) {
  if (!code.segment || !code.code) return fault("#GP", selector);
  if (at.long_mode && code.l && code.d) return fault("#GP", selector);
  if (at.rpl < at.cpl) return fault("#GP", selector);
  if (code.conforming && code.dpl > at.rpl) return fault("#GP", selector);
  if (!code.conforming && code.dpl != at.rpl) return fault("#GP", selector);
  if (!code.present) return fault("#NP", selector);
  return "ok";
}

/// The level that the handler or the gate's code runs at.
u8 expect_cpl(const Facts& code, u8 cpl) { return code.conforming ? cpl : code.dpl; }

// -- the machine under test
// --------------------------------------------------------------------------

constexpr u16 kTested = 0x40, kGate = 0x50;  // the descriptors that vary
constexpr u16 kStacks[4] = {0x10, 0x71, 0x7a, 0x23};

/// One machine for a whole table; at() puts it back to a level.
struct Subject : FakeMachine {
  explicit Subject(bool wide) : long_mode(wide) {
    wide ? enter_long() : enter_protected();
    for (u8 level : {1, 2}) {
      set_descriptor(kStacks[level],
                     descriptor(0, 0xfffff, access_byte(kReadWrite, level), kBigFlag | kPages));
      u32 offset = 4 + 8 * level;
      memory.put<u32>(kTss + offset, kStack0);
      memory.put<u32>(kTss + offset + 4, wide ? 0 : kStacks[level]);
    }
    memory.put<u64>(kGdt + kGate + 8, 0);
  }
  void at(u8 cpl) {
    run_at(0);
    state.set_flags(2);
    hide(Segment::Ss, kStacks[cpl]);
    state.cpl = cpl;
    state.reg(Reg::Rsp) = kStack3;
  }
  void set_tested(u8 access, u8 flags) {
    memory.put<u64>(kGdt + kTested, descriptor(0, 0xfffff, access, flags));
  }
  void set_gate(u8 access, u8 type_kept) {
    memory.put<u64>(kGdt + kGate,
                    gate(kTested, 0x7000, static_cast<u8>((access & 0xf0) | type_kept)));
  }
  std::string transfer(bool call, u16 selector) {
    Operands pointer = memory_operands(0x2000, 6, Width::W32);
    memory.put<u32>(0x2000, 0x7000);
    memory.put<u16>(0x2004, selector);
    return outcome_text(call ? ops::call_far(ctx, pointer) : ops::jmp_far(ctx, pointer));
  }

  bool long_mode;
};

template <class Check>
void for_all_levels(Check check) {
  for (bool long_mode : {false, true}) {
    Subject subject(long_mode);
    for (unsigned access = 0; access < 256; ++access)
      for (u8 flags : {u8{0}, kLongFlag, kBigFlag, u8{kLongFlag | kBigFlag}})
        for (u8 cpl = 0; cpl < 4; ++cpl)
          for (u8 rpl = 0; rpl < 4; ++rpl) {
            u8 byte = static_cast<u8>(access), nibble = flags | kPages;
            subject.set_tested(byte, nibble);
            subject.at(cpl);
            check(subject, facts_of(byte, nibble), Level{cpl, rpl, long_mode});
          }
  }
}

/// One CHECK a mismatch, so that the output names it; the count keeps success quick.
struct Tally {
  u64 compared = 0, allowed = 0;
  void operator()(const std::string& actual, const std::string& expected, const Facts& f,
                  Level at) {
    ++compared;
    allowed += expected == "ok";
    if (actual == expected) return;
    INFO("type " << int(f.type) << (f.segment ? "" : " (system)") << " DPL " << int(f.dpl) << " P "
                 << f.present << " L " << f.l << " D " << f.d << "; CPL " << int(at.cpl) << " RPL "
                 << int(at.rpl) << (at.long_mode ? ", long mode" : ", 32-bit"));
    CHECK(actual == expected);
  }
};

constexpr u64 kCombinations = 2u * 256 * 4 * 4 * 4;

}  // namespace

TEST_CASE("reference: loads of data and stack segments", "[reference]") {
  Tally tally;
  for_all_levels([&](Subject& s, const Facts& f, Level at) {
    u16 selector = kTested | at.rpl;
    Operands load;
    load.at[0] = segment_operand(Segment::Ds);
    load.at[1] = gpr_operand(0, 2);
    s.state.reg(Reg::Rax) = selector;
    tally(outcome_text(ops::mov_segment(s.ctx, load)), expect_data_load(f, at, kTested), f, at);
    load.at[0] = segment_operand(Segment::Ss);
    tally(outcome_text(ops::mov_segment(s.ctx, load)), expect_stack_load(f, at, kTested), f, at);
  });
  CHECK(tally.compared == 2 * kCombinations);
  CHECK(tally.allowed > 1000);
}

TEST_CASE("reference: direct far transfers", "[reference]") {
  Tally tally;
  for_all_levels([&](Subject& s, const Facts& f, Level at) {
    if (!f.segment) return;  // gates and tasks have their own rules
    u16 selector = kTested | at.rpl;
    std::string expected = expect_direct_transfer(f, at, kTested);
    tally(s.transfer(false, selector), expected, f, at);
    if (expected == "ok") CHECK(s.state.cpl == at.cpl);
    s.at(at.cpl);
    tally(s.transfer(true, selector), expected, f, at);
  });
  CHECK(tally.compared == kCombinations);
  CHECK(tally.allowed > 400);
}

TEST_CASE("reference: returns by IRET", "[reference]") {
  Tally tally;
  for_all_levels([&](Subject& s, const Facts& f, Level at) {
    u16 selector = kTested | at.rpl;
    u64 rsp = s.state.reg(Reg::Rsp);
    Operands iret;
    iret.length = 2;
    iret.width = at.long_mode ? Width::W64 : Width::W32;
    u32 step = bytes(iret.width);
    const u64 frame[] = {0x7000, selector, 2, 0xb000, kStacks[at.rpl]};
    for (unsigned i = 0; i < 5; ++i)
      at.long_mode ? s.memory.put<u64>(rsp + i * step, frame[i])
                   : s.memory.put<u32>(rsp + i * step, static_cast<u32>(frame[i]));
    std::string expected = expect_return(f, at, kTested);
    tally(outcome_text(ops::iret(s.ctx, iret)), expected, f, at);
    if (expected == "ok" && s.state.cpl != at.rpl) CHECK(s.state.cpl == at.rpl);
  });
  CHECK(tally.compared == kCombinations);
  CHECK(tally.allowed > 400);
}

namespace {

/// Draws gates and code segments that are mostly plausible.
class Draw {
 public:
  u8 level() { return pick() % 4; }
  bool coin() { return pick() & 1; }
  u8 code_access() {
    u8 access = static_cast<u8>(pick());
    return pick() % 4 ? static_cast<u8>(access | 0x98) : access;  // present code
  }
  u8 code_flags() {
    constexpr u8 kChoices[] = {0, kLongFlag, kBigFlag, kLongFlag | kBigFlag};
    return kChoices[pick() % 4] | kPages;
  }
  u8 gate_access() {
    u8 access = static_cast<u8>(pick());
    return pick() % 4 ? static_cast<u8>((access & 0xe0) | 0x8e | (access & 1)) : access;
  }

 private:
  u32 pick() { return static_cast<u32>(engine_()); }
  std::mt19937 engine_{20240717};
};

constexpr int kDraws = 100000;

}  // namespace

TEST_CASE("reference: call gates", "[reference]") {
  Tally tally;
  Draw draw;
  Subject narrow(false), wide(true);
  for (int i = 0; i < kDraws; ++i) {
    Level at{draw.level(), draw.level(), draw.coin()};
    Subject& s = at.long_mode ? wide : narrow;
    u8 code_access = draw.code_access(), flags = draw.code_flags(),
       gate_access = draw.gate_access();
    bool call = draw.coin();
    gate_access &= 0xe0;
    s.set_tested(code_access, flags);
    s.set_gate(gate_access, 12);
    s.at(at.cpl);
    Facts code = facts_of(code_access, flags);
    std::string expected =
        expect_call_gate(facts_of(gate_access | 12, 0), code, at, call, kGate, kTested);
    tally(s.transfer(call, kGate | at.rpl), expected, code, at);
    u8 level = call ? expect_cpl(code, at.cpl) : at.cpl;
    if (expected == "ok" && s.state.cpl != level) CHECK(s.state.cpl == level);
  }
  CHECK(tally.compared == kDraws);
  CHECK(tally.allowed > 1000);
}

TEST_CASE("reference: interrupts", "[reference]") {
  constexpr u8 kVector = 0x30;
  Tally tally;
  Draw draw;
  Subject narrow(false), wide(true);
  for (int i = 0; i < kDraws; ++i) {
    Level at{draw.level(), 0, draw.coin()};
    Subject& s = at.long_mode ? wide : narrow;
    u8 code_access = draw.code_access(), flags = draw.code_flags(),
       gate_access = draw.gate_access();
    bool software = draw.coin();
    if ((gate_access & 0x1f) == 5) continue;  // task gates
    s.set_tested(code_access, flags);
    u64 address = FakeMachine::kIdt + kVector * (at.long_mode ? 16 : 8);
    s.memory.put<u64>(address, gate(kTested, 0x7000, gate_access));
    if (at.long_mode) s.memory.put<u64>(address + 8, 0);
    s.at(at.cpl);
    Facts code = facts_of(code_access, flags);
    std::string expected =
        expect_interrupt(facts_of(gate_access, 0), code, at, software, kVector, kTested);
    auto source = software ? EventSource::SoftwareInt : EventSource::External;
    tally(outcome_text(deliver_once(s.ctx, Event::of(source, kVector))), expected, code, at);
    if (expected == "ok" && s.state.cpl != expect_cpl(code, at.cpl))
      CHECK(s.state.cpl == expect_cpl(code, at.cpl));
  }
  CHECK(tally.compared > kDraws / 2);
  CHECK(tally.allowed > 1000);
}
