// The contracts of the stencils that are no micro-op, from jit/stencil/key.h.
#include "cpu/semantics/fp_environment.h"
#include "tests/stencil/scene.h"

namespace penumbra::jit::test {
namespace {

using cpu::CpuState;

Special special_of(const StencilKey& key) { return static_cast<Special>(key.op); }
bool coin(std::mt19937_64& random) { return random() % 2 != 0; }

CpuState::JumpEntry& jump_of(Scene& scene) {
  return scene.state.jumps[CpuState::jump_offset(scene.operand(kA)) / sizeof *scene.state.jumps];
}
/// Of the return address at `stack`.
CpuState::ReturnEntry& return_of(Scene& scene, u64 stack) {
  return scene.state.returns[stack / 8 % CpuState::kReturns];
}
u64 popped_from(Scene& scene) {
  return scene.operand(kB) + static_cast<u64>(i64{scene.displacement});
}

Outcome enter(Scene& scene) {
  scene.left -= static_cast<i64>(scene.immediate);
  return {.way = scene.left < scene.state.stop_below ? Way::Exit : Way::Next};
}

Outcome far_link(Scene& scene) {
  CpuState& s = scene.state;
  const FarLinkCache& cache = scene.far_link;
  if (cache.key != s.execute_key || cache.from_base != s.code_base) return {.way = Way::Slow};
  s.code_base = cache.to_base;
  return {};
}

Outcome dispatch(Scene& scene) {
  const CpuState::JumpEntry& entry = jump_of(scene);
  u64 rip = scene.operand(kA);
  bool fits = entry.rip == rip && entry.key == scene.state.execute_key;
  return {.way = fits ? Way::Elsewhere : Way::Slow, .rdx = rip};
}

Outcome dispatch_return(Scene& scene) {
  u64 rip = scene.operand(kA);
  bool fits = return_of(scene, popped_from(scene)).rip == rip;
  return {.way = fits ? Way::Elsewhere : Way::Slow, .rdx = rip};
}

/// The stencil has run: the entry, which is no part of the state, is as it should be.
std::optional<Outcome> push_return(Scene& scene) {
  const CpuState::ReturnEntry& entry = return_of(scene, scene.operand(kB));
  bool right = entry.rip == scene.operand(kA) &&
               entry.code == reinterpret_cast<const void*>(scene.immediate);
  return right ? std::optional(Outcome{}) : std::nullopt;
}

Outcome arrive(Scene& scene) {
  scene.state.code_base = scene.rdx + static_cast<u64>(i64{scene.displacement});
  return {.rdx = scene.rdx};
}

Outcome check_canonical(Scene& scene) {
  bool given = scene.key.a != Form::None;
  u64 rip = given ? scene.operand(kA) : scene.rdx;
  u64 top = rip >> 47;
  Outcome outcome{.way = top == 0 || top == 0x1ffff ? Way::Next : Way::Slow};
  if (!given) outcome.rdx = rip;
  return outcome;
}

Outcome check_limit(Scene& scene) {
  bool within = scene.operand(kA) <= scene.state.seg(Segment::Cs).limit;
  return {.way = within ? Way::Next : Way::Slow};
}

Outcome store_at(Scene& scene) {
  u8* to = reinterpret_cast<u8*>(scene.value(kA));
  u32 size = bytes(scene.key.width);
  if (scene.key.c == Form::Immediate)
    std::memcpy(to, &scene.immediate, size);
  else
    std::memcpy(to, scene.at(kC), size);
  return {};
}

/// The runner's MXCSR is the guest's; what an earlier run has left sticky is on the host only.
Outcome store_mxcsr(Scene& scene) {
  u32 value = scene.state.mxcsr | (cpu::fp_environment::read_host() & cpu::Mxcsr::kSticky);
  std::memcpy(reinterpret_cast<u8*>(scene.value(kA)), &value, sizeof value);
  scene.state.slow_linear =
      cpu::fp_environment::read_host() | (scene.state.slow_linear & 0xffff'ffff'0000'0000);
  return {};
}

Outcome check_unit(Scene& scene) {
  return {.way = scene.state.x87_on_host ? Way::Next : Way::Slow};
}

Outcome check_wait(Scene& scene) {
  return {.way = (scene.state.x87.status & 0x80) != 0 ? Way::Slow : Way::Next};
}

Outcome check_pending(Scene& scene) {
  bool pending = (scene.state.x87.status & 0x80) != 0;
  return {.way = scene.state.x87_on_host || pending ? Way::Slow : Way::Next};
}

Outcome unit_pointers(Scene& scene) {
  CpuState& s = scene.state;
  u64 rip = s.code_base + static_cast<u64>(i64{scene.displacement});
  s.x87.ip = rip & s.linear_mask;
  s.x87.cs = s.seg(Segment::Cs).selector;
  s.x87.opcode = static_cast<u16>(scene.immediate);
  if (scene.key.a != Form::None) s.x87.ds = static_cast<u16>(scene.value(kA));
  return {};
}

Outcome hold_carry(Scene& scene) {
  const CpuState& s = scene.state;
  bool is_patch = cpu::is_partial(scene.key.kind);
  u64 result = is_patch ? s.flag_patch : s.flag_result;
  u32 flags = cpu::materialize(scene.key.kind, result, s.flag_source);
  return {.told = cpu::Flag::kCf, .flags = flags};
}

/// All but AF, which no condition asks for.
Outcome hold_comparison(Scene& scene) {
  u64 counts = mask(scene.key.width), b = scene.operand(kB) & counts;
  bool subtracts = cpu::family_of(scene.key.kind) == cpu::FlagFamily::Sub;
  u64 result = (subtracts ? scene.operand(kA) - b : scene.operand(kA) & b) & counts;
  return {.told = cpu::Flag::kArithmetic & ~cpu::Flag::kAf,
          .flags = cpu::materialize(scene.key.kind, result, b)};
}

Outcome probe(Scene& scene, bool writes) {
  const mmu::ShadowTable& table = scene.pages->table();
  u64 linear = scene.linear();
  u32 size = scene.key.width == Width::W128 ? 10 : bytes(scene.key.width);
  u8* host = writes ? table.for_write(linear, size) : table.for_read(linear, size);
  if (host == nullptr) return {.way = Way::Slow, .rdx = linear};
  return {.rcx = reinterpret_cast<u64>(host), .rdx = linear};
}

/// d becomes the addend of the page that holds all bytes of the group, or 0.
Outcome anchor(Scene& scene, bool writes) {
  const mmu::ShadowTable& table = scene.pages->table();
  u64 linear = scene.linear();
  u32 size = static_cast<u32>(scene.immediate) + 1;
  bool hits = (writes ? table.for_write(linear, size) : table.for_read(linear, size)) != nullptr;
  store_to(scene.at(kD), hits ? table.entry(linear).addend : 0);
  return {};
}

/// The micro-op that an access by an anchor stands for; kCount: it is none.
Op anchored(const StencilKey& key) {
  switch (special_of(key)) {
    case Special::LoadAnchored:
      return Op::Load;
    case Special::StoreAnchored:
      return Op::Store;
    case Special::LoadVectorAnchored:
      return Op::LoadVector;
    case Special::StoreVectorAnchored:
      return Op::StoreVector;
    default:
      return Op::kCount;
  }
}

bool stores(Op op) { return op == Op::Store || op == Op::StoreVector; }

std::optional<Outcome> access_by_anchor(Scene& scene) {
  Op op = anchored(scene.key);
  if (scene.value(anchor_operand(scene.key)) == 0) return Outcome{.way = Way::Slow};
  StencilKey whole = scene.key;
  scene.key.op = code_of(op);
  (stores(op) ? scene.key.d : scene.key.c) = Form::None;
  std::optional<Outcome> outcome = perform(scene);
  scene.key = whole;
  return outcome;
}

void prepare_anchor(Scene& scene, std::mt19937_64& random) {
  const mmu::ShadowTable& table = scene.pages->table();
  u64 linear = scene.linear();
  u32 size = bytes(scene.key.width);
  bool hits = (stores(anchored(scene.key)) ? table.for_write(linear, size)
                                           : table.for_read(linear, size)) != nullptr;
  u64 addend = hits && random() % 4 != 0 ? table.entry(linear).addend : 0;
  store_to(scene.at(anchor_operand(scene.key)), addend);
}

/// One element after the other; what is not that simple is left alone.
Outcome short_string(Scene& scene, bool copies) {
  CpuState& s = scene.state;
  const mmu::ShadowTable& table = scene.pages->table();
  u64 element = bytes(scene.key.width), count = scene.value(kA), size = count * element;
  if (count > 64 / element || s.flag(cpu::Flag::kDf) || scene.left < 8) return {.way = Way::Slow};
  if (count == 0) return {};
  u8* from = copies ? table.for_read(scene.value(kC), static_cast<u32>(size)) : scene.at(kC);
  u8* to = table.for_write(scene.value(kB), static_cast<u32>(size));
  if (from == nullptr || to == nullptr) return {.way = Way::Slow};
  bool repeats = copies && to >= from && to < from + size;
  if (repeats) return {.way = Way::Slow};
  for (u64 i = 0; i < count; ++i) {
    std::memmove(to + i * element, copies ? from + i * element : from, element);
  }
  u64 charged = s.repeat_bytes + size;
  scene.left -= static_cast<i64>(charged / 64);
  s.repeat_bytes = charged % 64;
  return {};
}

u64 near_page_end(std::mt19937_64& random) {
  u64 page = Pages::kPages[random() % std::size(Pages::kPages)];
  return page + (coin(random) ? random() % 128 : kPageSize - random() % 80);
}

void prepare_short_string(Scene& scene, std::mt19937_64& random) {
  CpuState& s = scene.state;
  s.rflags = random() % 8 == 0 ? cpu::Flag::kDf | 2 : 2;
  s.repeat_bytes = random() % 64;
  scene.left = static_cast<i64>(random() % 64);
  scene.slots = {translator::gpr_slot(8), translator::gpr_slot(1), translator::gpr_slot(7),
                 translator::gpr_slot(6)};
  store_to(scene.at(kA), random() % (72 / bytes(scene.key.width)));
  store_to(scene.at(kB), near_page_end(random));
  store_to(scene.at(kC), near_page_end(random));
}

}  // namespace

u32 anchor_operand(const StencilKey& key) {
  Op op = is_special(key) ? anchored(key) : Op::kCount;
  if (op == Op::kCount) return kNoOperand;
  return stores(op) ? kD : kC;
}

/// Half of the caches fit.
void prepare_special(Scene& scene, std::mt19937_64& random) {
  CpuState& s = scene.state;
  switch (special_of(scene.key)) {
    case Special::Enter:
      scene.immediate = 1 + random() % 64;
      scene.left = static_cast<i64>(random() % 128);
      s.stop_below = coin(random) ? 0 : INT64_MAX;
      break;
    case Special::FarLink:
      scene.immediate = reinterpret_cast<u64>(&scene.far_link);
      scene.far_link = {.key = coin(random) ? s.execute_key : random(),
                        .from_base = coin(random) ? s.code_base : random(),
                        .to_base = random()};
      break;
    case Special::Dispatch:
      jump_of(scene) = {.rip = coin(random) ? scene.operand(kA) : random(),
                        .key = coin(random) ? s.execute_key : random(),
                        .code = scene.elsewhere};
      break;
    case Special::DispatchReturn:
      return_of(scene, popped_from(scene)) = {.rip = coin(random) ? scene.operand(kA) : random(),
                                              .code = scene.elsewhere};
      break;
    case Special::StoreAt:
    case Special::StoreVectorAt:
    case Special::StoreMxcsr:
      store_to(scene.at(kA), scene.pages->bytes() + random() % kPageSize);
      break;
    case Special::AnchorRead:
    case Special::AnchorWrite:
      scene.immediate = random() % 256;
      break;
    case Special::ShortMovs:
    case Special::ShortStos:
      return prepare_short_string(scene, random);
    default:
      if (anchor_operand(scene.key) != kNoOperand) prepare_anchor(scene, random);
      break;
  }
}

std::optional<Outcome> perform_special(Scene& scene) {
  switch (special_of(scene.key)) {
    case Special::Enter:
      return enter(scene);
    case Special::FarLink:
      return far_link(scene);
    case Special::Dispatch:
      return dispatch(scene);
    case Special::DispatchReturn:
      return dispatch_return(scene);
    case Special::PushReturn:
      return push_return(scene);
    case Special::Arrive:
      return arrive(scene);
    case Special::CheckCanonical:
      return check_canonical(scene);
    case Special::CheckLimit:
      return check_limit(scene);
    case Special::StoreAt:
    case Special::StoreVectorAt:
      return store_at(scene);
    case Special::StoreMxcsr:
      return store_mxcsr(scene);
    case Special::CheckUnit:
      return check_unit(scene);
    case Special::CheckWait:
      return check_wait(scene);
    case Special::CheckPending:
      return check_pending(scene);
    case Special::UnitPointers:
      return unit_pointers(scene);
    case Special::HoldCarry:
      return hold_carry(scene);
    case Special::HoldComparison:
      return hold_comparison(scene);
    case Special::ProbeRead:
      return probe(scene, false);
    case Special::ProbeWrite:
      return probe(scene, true);
    case Special::AnchorRead:
      return anchor(scene, false);
    case Special::AnchorWrite:
      return anchor(scene, true);
    case Special::LoadAnchored:
    case Special::StoreAnchored:
    case Special::LoadVectorAnchored:
    case Special::StoreVectorAnchored:
      return access_by_anchor(scene);
    case Special::ShortMovs:
      return short_string(scene, true);
    case Special::ShortStos:
      return short_string(scene, false);
  }
  return std::nullopt;
}

}  // namespace penumbra::jit::test
