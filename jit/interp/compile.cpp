// Micro-ops -> uops: handler selection and layout of a block.
#include "common/log.h"
#include "jit/interp/handlers.h"
#include "jit/interp/interpreter.h"

namespace penumbra::jit {

using translator::MicroOp;
using translator::Op;
using translator::Shape;

Handler handler_for(const MicroOp& op) {
  switch (translator::shape_of(op.op)) {
    case Shape::Move:
    case Shape::Code:
    case Shape::Address:
    case Shape::Widen:
    case Shape::Unary:
    case Shape::Binary:
    case Shape::Counted:
    case Shape::Ternary:
    case Shape::Divide:
      return integer_handler(op);
    case Shape::ReadFlags:
    case Shape::WriteFlags:
    case Shape::FlagState:
      return flags_handler(op);
    case Shape::Memory:
    case Shape::Segmented:
      return memory_handler(op);
    case Shape::Check:
      return control_handler(op);
    case Shape::Control: {
      Handler handler = flags_handler(op);
      return handler != nullptr ? handler : control_handler(op);
    }
    default:
      return vector_handler(op);
  }
}

namespace {

bool carries_flag_state(const MicroOp& op) {
  return op.op == Op::Jump || op.op == Op::JumpDynamic ||
         translator::shape_of(op.op) == Shape::FlagState;
}

/// A branch's target is the jump behind the fall-through jump.
Uop lower(const MicroOp& op, size_t index) {
  Uop uop{.handler = handler_for(op),
          .immediate = op.immediate,
          .d = op.d,
          .a = op.a,
          .b = op.b,
          .c = op.c,
          .displacement = op.displacement,
          .index = static_cast<u16>(index),
          .scale = op.scale,
          .extra = static_cast<u8>(op.flags_before.kind)};
  if (op.op == Op::Jump) uop.displacement = static_cast<i32>(op.immediate);
  if (effects_of(op).reads_flags != 0 || op.op == Op::KeepFlags) {
    uop.extra = static_cast<u8>(op.reads);
  } else if (carries_flag_state(op)) {
    uop.c = static_cast<u8>(op.flags_before.modifier);
  }
  PENUMBRA_ASSERT(uop.handler != nullptr);
  return uop;
}

/// The jump that a branch takes, as a micro-op of its own at the block's end.
MicroOp taken_jump(const MicroOp& branch, const MicroOp& fall_through) {
  bool fused = branch.op == Op::BranchSub || branch.op == Op::BranchAnd;
  MicroOp jump = fall_through;
  jump.immediate =
      fused ? static_cast<u64>(static_cast<i64>(branch.displacement)) : branch.immediate;
  return jump;
}

}  // namespace

Uop interpreted(const MicroOp& op) { return lower(op, 0); }

void CompiledBlock::link(Uop& from, CompiledBlock& target) {
  link_jump(from, *target.code());
  target.incoming.emplace_back(this, &from);
  outgoing.emplace_back(&target, &from);
}

void CompiledBlock::unlink() {
  for (auto& [source, jump] : incoming) {
    unlink_jump(*jump);
    if (source != this) std::erase(source->outgoing, Link{this, jump});
  }
  for (auto& [target, jump] : outgoing) {
    if (target != this) std::erase(target->incoming, Link{this, jump});
  }
  incoming.clear();
  outgoing.clear();
}

std::unique_ptr<CompiledBlock> compile(const translator::Block& block, const u8* page) {
  std::vector<MicroOp> ops = block.ops;
  std::erase_if(ops, [](const MicroOp& op) { return translator::shape_of(op.op) == Shape::Hint; });
  if (ops.size() >= 2 && translator::is_branch(ops[ops.size() - 2].op)) {
    ops.push_back(taken_jump(ops[ops.size() - 2], ops.back()));
  }
  if (block.crosses_page) ops.insert(ops.begin(), MicroOp{});
  auto compiled = std::make_unique<CompiledBlock>();
  compiled->ir = block;
  compiled->ir.ops = {};
  compiled->storage = std::make_unique<u8[]>(sizeof(BlockCode) + ops.size() * sizeof(Uop));
  BlockCode* code = compiled->code();
  code->owner = compiled.get();
  code->count = static_cast<i64>(block.instructions.size());
  std::span<const MicroOp> rest = ops;
  for (size_t index = 0; !rest.empty(); ++index) {
    const MicroOp& op = rest.front();
    Uop& uop = code->uops[index];
    uop.index = static_cast<u16>(index);
    size_t taken = fuse(rest, uop);
    if (taken == 0) {
      uop = lower(op, index);
      taken = 1;
    }
    if (op.op == Op::CodeValue) uop.immediate = reinterpret_cast<u64>(page + op.immediate);
    if (op.op == Op::Call) {
      uop.immediate = reinterpret_cast<u64>(&compiled->ir.calls[op.immediate]);
    }
    compiled->sites.push_back({op.instruction, op.segment, op.flags_before});
    rest = rest.subspan(taken);
  }
  if (block.crosses_page) code->uops[0].handler = next_page_check();
  return compiled;
}

}  // namespace penumbra::jit
