#include <fmt/format.h>

#include <iterator>

#include "translator/ir/block.h"

namespace penumbra::translator {
namespace {

constexpr const char* kGpr[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr const char* kSegment[] = {"es", "cs", "ss", "ds", "fs", "gs"};
struct FieldName {
  size_t slot;
  const char* name;
};
constexpr FieldName kFields[] = {
    {offsetof(cpu::CpuState, code_base), "code"},
    {offsetof(cpu::CpuState, rflags), "rflags"},
    {offsetof(cpu::CpuState, rip), "rip"},
    {offsetof(cpu::CpuState, flag_result), "flag_result"},
    {offsetof(cpu::CpuState, flag_source), "flag_source"},
    {offsetof(cpu::CpuState, flag_patch), "flag_patch"},
    {offsetof(cpu::CpuState, flag_kind), "flag_kind"},
    {offsetof(cpu::CpuState, flag_modifier), "flag_modifier"},
    {offsetof(cpu::CpuState, mxcsr), "mxcsr"},
    {offsetof(cpu::CpuState, table), "table"},
    {offsetof(cpu::CpuState, anchor[0]), "anchor0"},
    {offsetof(cpu::CpuState, anchor[1]), "anchor1"},
    {offsetof(cpu::CpuState, anchor[2]), "anchor2"},
    {offsetof(cpu::CpuState, anchor[3]), "anchor3"},
    {offsetof(cpu::CpuState, stop_below), "stop_below"},
    {offsetof(cpu::CpuState, slow_linear), "slow_linear"},
    {offsetof(cpu::CpuState, execute_key), "execute_key"},
    {offsetof(cpu::CpuState, returns), "returns"},
    {offsetof(cpu::CpuState, jumps), "jumps"},
    {offsetof(cpu::CpuState, x87_on_host), "x87_on_host"},
};
constexpr const char* kCondition[] = {"o", "no", "b", "nb", "z", "nz", "be", "nbe",
                                      "s", "ns", "p", "np", "l", "nl", "le", "nle"};

bool within(Slot slot, Slot first, unsigned stride, unsigned count, unsigned& number) {
  if (slot < first || slot >= first + stride * count) return false;
  number = (slot - first) / stride;
  return true;
}

std::string part(std::string name, unsigned rest) {
  return rest == 0 ? name : fmt::format("{}+{}", name, rest);
}

std::string hex(u64 value) {
  i64 value_signed = static_cast<i64>(value);
  if (value_signed < 0 && value_signed > -0x10000) return fmt::format("-0x{:x}", -value_signed);
  return fmt::format("0x{:x}", value);
}

std::string address(const MicroOp& op) {
  std::string text = slot_name(op.a);
  if (op.b != kZeroSlot && op.b != kNoSlot) {
    text += fmt::format(" + {}", slot_name(op.b));
    if (op.scale != 0) text += fmt::format(" << {}", op.scale);
  }
  if (op.displacement != 0)
    text += fmt::format(" + {}", hex(static_cast<u64>(i64{op.displacement})));
  return fmt::format("[{}]", text);
}

std::string second(const MicroOp& op) {
  return op.b_is_immediate ? hex(op.immediate) : slot_name(op.b);
}

bool has_address(Shape shape) {
  return shape == Shape::Memory || shape == Shape::Address || shape == Shape::Segmented;
}

std::string sources(const Block& block, const MicroOp& op) {
  Shape shape = shape_of(op.op);
  if (has_address(shape) && op.op != Op::Linear) {
    std::string text = address(op);
    bool stores = op.op == Op::Store || op.op == Op::StoreVector;
    if (!stores) return text;
    return text + ", " + (op.c == kNoSlot ? hex(op.immediate) : slot_name(op.c));
  }
  if (op.op == Op::Call) {
    std::string name = block.calls[op.immediate].call.name;
    return op.a == kNoSlot ? name : name + " " + address(op);
  }
  if (op.op == Op::BranchFlags)
    return fmt::format("{}, +{}", kCondition[static_cast<u8>(op.condition)], hex(op.immediate));
  if (op.op == Op::BranchSub || op.op == Op::BranchAnd) {
    return fmt::format("{}, {}, {}, +{}", slot_name(op.a), second(op),
                       kCondition[static_cast<u8>(op.condition)],
                       hex(static_cast<u64>(i64{op.displacement})));
  }
  if (shape == Shape::Code) return fmt::format("[+{}].{}", hex(op.immediate), bits(op.from));
  if (op.op == Op::Jump) return "+" + hex(op.immediate);
  if (op.op == Op::Raise) return fmt::format("vector {}", op.immediate);
  if (op.op == Op::GetCondition) return kCondition[static_cast<u8>(op.condition)];
  std::string text =
      op.a == kNoSlot ? (shape == Shape::Move ? hex(op.immediate) : "") : slot_name(op.a);
  if (op.b != kNoSlot || op.b_is_immediate) text += ", " + second(op);
  if (op.c != kNoSlot) text += ", " + slot_name(op.c);
  bool immediate_last = shape >= Shape::VectorUnary || op.op == Op::BranchNonzero;
  if (immediate_last && op.immediate != 0) text += ", " + hex(op.immediate);
  return text;
}

std::string line(const Block& block, const MicroOp& op) {
  std::string name = fmt::format("{}.{}", name_of(op.op), bits(op.width));
  if (op.sets_flags) name += op.cold_flags ? " ?flags" : " !flags";
  std::string d = op.d == kNoSlot ? "" : slot_name(op.d) + " = ";
  return fmt::format("    {}{} {}\n", d, name, sources(block, op));
}

}  // namespace

std::string slot_name(Slot slot) {
  unsigned n = 0;
  if (slot == kZeroSlot) return "0";
  if (within(slot, gpr_slot(0), 8, 16, n)) return part(kGpr[n], (slot - gpr_slot(0)) % 8);
  if (within(slot, temporary_slot(0), 8, cpu::CpuState::kTemporaries, n)) {
    return part(fmt::format("t{}", n), (slot - temporary_slot(0)) % 8);
  }
  if (within(slot, vector_slot(0), 32, 16, n)) {
    return part(fmt::format("xmm{}", n), (slot - vector_slot(0)) % 32);
  }
  if (within(slot, vector_temporary_slot(0), 32, cpu::CpuState::kVectorTemporaries, n)) {
    return part(fmt::format("v{}", n), (slot - vector_temporary_slot(0)) % 32);
  }
  if (within(slot, mmx_slot(0), 16, 8, n))
    return part(fmt::format("mm{}", n), (slot - mmx_slot(0)) % 16);
  for (u8 i = 0; i < 6; ++i) {
    if (slot == segment_base_slot(static_cast<Segment>(i)))
      return fmt::format("{}.base", kSegment[i]);
  }
  for (const FieldName& field : kFields) {
    if (slot == field.slot) return field.name;
  }
  return fmt::format("[{}]", slot);
}

std::string print(const Block& block, const MicroOp& op) { return line(block, op); }

std::string print(const Block& block) {
  std::string text;
  u16 instruction = 0xffff;
  for (const MicroOp& op : block.ops) {
    if (op.instruction != instruction) {
      instruction = op.instruction;
      const InstructionSite& site = block.instructions[instruction];
      text += fmt::format("+{:03x} ({} bytes)\n", site.offset, site.length);
    }
    text += line(block, op);
  }
  return text;
}

}  // namespace penumbra::translator
