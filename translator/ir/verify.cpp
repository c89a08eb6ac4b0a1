#include <fmt/format.h>

#include <bitset>

#include "translator/ir/block.h"

namespace penumbra::translator {
namespace {

constexpr size_t kSlots = sizeof(cpu::CpuState);

class Verifier {
 public:
  explicit Verifier(const Block& block) : block_(block) {}

  std::string run() {
    if (block_.ops.empty()) return "no micro-op";
    for (size_t i = 0; i < block_.ops.size() && error_.empty(); ++i) check(i);
    if (error_.empty() && !ends_block(block_.ops.back().op))
      fail("the last micro-op does not leave");
    return error_;
  }

 private:
  void check(size_t i) {
    const MicroOp& op = block_.ops[i];
    if (op.instruction >= block_.instructions.size()) return fail("no such instruction");
    if (op.instruction != instruction_) start_instruction(op.instruction);
    reads(op);
    order(op);
    control(i);
    writes(op);
  }

  void start_instruction(u16 number) {
    if (instruction_ != 0xffff && number < instruction_) return fail("instructions out of order");
    instruction_ = number;
    written_.reset();
    committed_ = false;
  }

  void reads(const MicroOp& op) {
    for (Slot slot : {op.a, op.b, op.c}) {
      if (slot == kNoSlot) continue;
      if (slot >= kSlots) return fail("slot out of range");
      if (is_temporary(slot) && !written_[slot & ~7u]) return fail("temporary read before written");
    }
  }

  /// Nothing that may fault follows the first architectural write of an instruction.
  void order(const MicroOp& op) {
    if (committed_ && effects_of(op).may_fault) fail("may fault behind an architectural write");
    bool writes_register = op.d != kNoSlot && !is_temporary(op.d);
    committed_ = committed_ || writes_register || op.sets_flags;
  }

  void control(size_t i) {
    const MicroOp& op = block_.ops[i];
    if (!effects_of(op).leaves || i + 1 == block_.ops.size()) return;
    const MicroOp& next = block_.ops[i + 1];
    if (op.op == Op::Call && next.instruction == op.instruction && next.op != Op::Jump) {
      return fail("a named operation does not stand alone");
    }
    if (!is_branch(op.op) && op.op != Op::Call) fail("a jump inside the block");
  }

  void writes(const MicroOp& op) {
    if (op.d == kNoSlot) return;
    if (op.d >= kSlots) return fail("slot out of range");
    if (is_temporary(op.d)) written_[op.d & ~7u] = true;
  }

  void fail(const char* what) {
    if (error_.empty()) error_ = fmt::format("instruction {}: {}", instruction_, what);
  }

  const Block& block_;
  std::string error_;
  u16 instruction_ = 0xffff;
  std::bitset<kSlots> written_;
  bool committed_ = false;
};

}  // namespace

std::string verify(const Block& block) { return Verifier(block).run(); }

}  // namespace penumbra::translator
