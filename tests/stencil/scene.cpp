#include "tests/stencil/scene.h"

#include <algorithm>

#include "cpu/semantics/fp_environment.h"

namespace penumbra::jit::test {

using translator::Shape;
void prepare_micro_op(Scene& scene, std::mt19937_64& random);

StencilKey decoded(u64 key) {
  auto field = [&](u32 low, u32 size) { return key >> low & (bit(size) - 1); };
  u64 kind = field(30, 7);
  return {.op = static_cast<u16>(field(0, 10)),
          .width = static_cast<Width>(field(10, 3)),
          .from = static_cast<Width>(field(13, 3)),
          .effect = static_cast<Effect>(field(16, 2)),
          .d = static_cast<Form>(field(18, 2)),
          .a = static_cast<Form>(field(20, 2)),
          .b = static_cast<Form>(field(22, 2)),
          .c = static_cast<Form>(field(24, 2)),
          .condition = static_cast<Condition>(field(26, 4)),
          .kind = kind == 127 ? FlagKind::Dynamic : static_cast<FlagKind>(kind),
          .scale = static_cast<u8>(field(37, 2)),
          .tied = field(39, 1) != 0,
          .wide = field(40, 1) != 0,
          .writes_left = field(62, 1) != 0,
          .leaves_dynamically = field(63, 1) != 0};
}

bool is_vector_operand(const StencilKey& key, u32 operand) {
  if (is_special(key)) {
    if (key.op == code_of(Special::LoadVectorAnchored)) return operand == kD;
    bool slot = key.op == code_of(Special::StoreAt) && key.width >= Width::W128;
    bool stores = key.op == code_of(Special::StoreVectorAt) ||
                  key.op == code_of(Special::StoreVectorAnchored);
    return operand == kC && (slot || stores);
  }
  Shape shape = translator::shape_of(op_of(key));
  if (op_of(key) == Op::LoadVector) return operand == kD;
  if (op_of(key) == Op::StoreVector) return operand == kC;
  if (shape == Shape::VectorFromInteger) return operand != kB;
  if (shape == Shape::IntegerFromVector) return operand == kA;
  return shape >= Shape::VectorUnary;
}

bool has_address(const StencilKey& key) {
  if (is_special(key)) {
    bool looks_up =
        key.op == code_of(Special::ProbeRead) || key.op == code_of(Special::ProbeWrite) ||
        key.op == code_of(Special::AnchorRead) || key.op == code_of(Special::AnchorWrite);
    return looks_up || anchor_operand(key) != kNoOperand;
  }
  return translator::shape_of(op_of(key)) == Shape::Memory || op_of(key) == Op::CheckAligned;
}

Pages::Pages(std::mt19937_64& random) {
  for (u8& byte : bytes_) byte = static_cast<u8>(random());
  mmu::ShadowTable& table = *table_.data();
  table.init();
  for (u64 i = 0; i < std::size(kPages); ++i) {
    u64 page = kPages[i];
    mmu::ShadowEntry& entry = table.entry(page);
    entry = {page, page, page, reinterpret_cast<u64>(bytes_.data() + i % 4 * kPageSize) - page};
    if (page == kReadOnly) entry.write_tag = mmu::ShadowTable::kAbsent;
    if (page == kTracked) entry.write_tag |= mmu::ShadowEntry::kTracked;
    if (page == kAbsent)
      entry = {mmu::ShadowTable::kAbsent, mmu::ShadowTable::kAbsent, mmu::ShadowTable::kAbsent, 0};
  }
}

u64 Scene::operand(u32 number) {
  Form form = forms_of(key)[number];
  if (form == Form::None) return 0;
  return form == Form::Immediate ? immediate : value(number);
}

u64 Scene::linear() {
  return operand(kA) + (operand(kB) << key.scale) + static_cast<u64>(i64{displacement});
}

u64 corner_or_random(std::mt19937_64& random) {
  constexpr u64 kCorners[] = {0,
                              1,
                              2,
                              3,
                              ~0ull,
                              0x7f,
                              0x80,
                              0xff,
                              0x7fff,
                              0x8000,
                              0xffff,
                              0x7fff'ffff,
                              0x8000'0000,
                              0xffff'ffff,
                              0x1'0000'0000,
                              0x7fff'ffff'ffff,
                              0x8000'0000'0000,
                              0xffff'8000'0000'0000,
                              0x7fff'ffff'ffff'ffff,
                              0x8000'0000'0000'0000};
  u64 choice = random() % 4;
  if (choice == 0) return kCorners[random() % std::size(kCorners)];
  return choice == 1 ? random() >> random() % 64 : random();
}

namespace {

bool coin(std::mt19937_64& random) { return random() % 2 != 0; }

/// Also a pair of floats, or a double, of every class.
u64 lane(std::mt19937_64& random) {
  constexpr u32 kFloats[] = {0,           0x8000'0000, 0x3f80'0000, 0xbf80'0000,
                             0x7f80'0000, 0xff80'0000, 0x7fc0'0000, 0x7f80'0001,
                             1,           0x7f7f'ffff, 0x4b00'0001, 0x4f00'0000};
  constexpr u64 kDoubles[] = {0x8000'0000'0000'0000, 0x3ff0'0000'0000'0000, 0x7ff0'0000'0000'0000,
                              0x7ff8'0000'0000'0000, 0x7ff0'0000'0000'0001, 1,
                              0x7fef'ffff'ffff'ffff, 0x43e0'0000'0000'0000, 0x4330'0000'0000'0001};
  switch (random() % 4) {
    case 0: {
      u64 low = kFloats[random() % std::size(kFloats)],
          high = kFloats[random() % std::size(kFloats)];
      return high << 32 | low;
    }
    case 1:
      return kDoubles[random() % std::size(kDoubles)];
    default:
      return corner_or_random(random);
  }
}

FlagKind random_kind(std::mt19937_64& random, bool partial) {
  using enum cpu::FlagFamily;
  constexpr cpu::FlagFamily kFull[] = {Explicit,   Image,          Add, Sub, Sub, Logic, ShiftLeft,
                                       ShiftRight, ShiftArithmetic};
  constexpr cpu::FlagFamily kPartial[] = {Carry,      Multiply, RotateLeft, RotateRight,
                                          CountZeros, Inc,      Dec};
  auto width = static_cast<Width>(random() % 4);
  if (partial) return cpu::flag_kind(kPartial[random() % std::size(kPartial)], width);
  return cpu::flag_kind(kFull[random() % std::size(kFull)], width);
}

u64 immediate_for(HoleType hole, std::mt19937_64& random) {
  u64 value = corner_or_random(random);
  switch (hole) {
    case HoleType::Abs8:
      return sign_extend(value, Width::W8);
    case HoleType::Abs16:
      return sign_extend(value, Width::W16);
    case HoleType::Abs32:
      return static_cast<u32>(value);
    case HoleType::Abs64:
      return value;
    default:
      return sign_extend(value, Width::W32);
  }
}

/// As the generator gives a constant of less than 64 bits.
u64 narrowed(u64 value, const StencilKey& key) {
  if (key.width >= Width::W32 || is_special(key)) return value;
  return value & mask(key.width);
}

/// AH and its like, where the whole operand is a byte.
bool may_be_high(const StencilKey& key) {
  if (is_special(key) || key.width != Width::W8) return false;
  Shape shape = translator::shape_of(op_of(key));
  return shape == Shape::Unary || shape == Shape::Binary || shape == Shape::Move;
}

void choose_slots(Scene& scene, std::mt19937_64& random) {
  auto forms = forms_of(scene.key);
  u8 first = static_cast<u8>(random() % 16);
  for (u8 i = 0; i < 4; ++i) {
    u8 number = (first + 3 * i) % 16;
    bool is_vector = is_vector_operand(scene.key, i);
    scene.slots[i] = is_vector ? translator::vector_slot(number) : translator::gpr_slot(number);
    bool high = forms[i] == Form::Slot && may_be_high(scene.key) && coin(random);
    if (high) scene.slots[i] = translator::gpr_high_slot(number);
  }
  // In one place; base and index of an address are apart, so that it can be chosen.
  u32 x = static_cast<u32>(random() % 4), y = static_cast<u32>(random() % 4);
  bool alike =
      forms[x] == forms[y] && is_vector_operand(scene.key, x) == is_vector_operand(scene.key, y);
  bool address = has_address(scene.key) && (x == kA || x == kB) && (y == kA || y == kB);
  u32 anchor = anchor_operand(scene.key);
  if (alike && !address && x != anchor && y != anchor && coin(random))
    scene.slots[y] = scene.slots[x];
}

void choose_values(Scene& scene, std::mt19937_64& random) {
  auto forms = forms_of(scene.key);
  for (u32 i = 0; i < 4; ++i) {
    if (forms[i] != Form::Register && forms[i] != Form::Slot) continue;
    u8* whole = reinterpret_cast<u8*>(&scene.state) + scene.slots[i] / 8 * 8;
    if (is_vector_operand(scene.key, i)) {
      for (u32 at = 0; at < 32; at += 8) store_to(whole + at, lane(random));
    } else {
      store_to(whole, corner_or_random(random));
    }
  }
  // Equal ones, in two places.
  bool both = forms[kA] != Form::None && forms[kA] != Form::Immediate && forms[kB] == forms[kA];
  if (both && random() % 8 == 0 && !has_address(scene.key)) {
    u32 size = is_vector_operand(scene.key, kA) && is_vector_operand(scene.key, kB) ? 32 : 1;
    std::memmove(scene.at(kB), scene.at(kA), size);
  }
}

/// Near a page's end or start.
void choose_address(Scene& scene, std::mt19937_64& random) {
  u64 page = Pages::kPages[random() % std::size(Pages::kPages)];
  u64 linear = page + (coin(random) ? random() % 64 : kPageSize - 1 - random() % 40);
  if (random() % 64 == 0) linear = random();
  const StencilKey& key = scene.key;
  u64 displacement = sign_extend(random(), coin(random) ? Width::W8 : Width::W32);
  if (key.a == Form::None && key.b == Form::None) displacement = sign_extend(linear, Width::W32);
  if (key.a == Form::None && key.b != Form::None) {
    u64 unit = bit(key.scale);
    displacement = sign_extend(page_of(displacement) + linear % unit, Width::W32);
    store_to(scene.at(kB), (linear - displacement) >> key.scale);
  }
  scene.displacement = static_cast<i32>(displacement);
  if (key.a == Form::None) return;
  u64 index = key.b == Form::None ? 0 : scene.value(kB) << key.scale;
  store_to(scene.at(kA), linear - index - displacement);
}

void choose_state(Scene& scene, std::mt19937_64& random) {
  cpu::CpuState& s = scene.state;
  for (u64* word : {&s.flag_result, &s.flag_source, &s.flag_patch, &s.code_base, &s.rip})
    *word = corner_or_random(random);
  s.flag_kind = coin(random) ? FlagKind::Explicit : random_kind(random, false);
  if (s.flag_kind == FlagKind::Explicit) s.flag_source &= cpu::Flag::kArithmetic;
  s.flag_modifier = coin(random) ? FlagKind::None : random_kind(random, true);
  s.x87_on_host = coin(random);
  s.x87.status = static_cast<u16>(random());
  s.seg(Segment::Cs).limit = static_cast<u32>(corner_or_random(random));
  // Rounding, DAZ and FTZ as a guest may have them; generated code runs with all masked.
  s.mxcsr = cpu::Mxcsr::kDefault;
  if (coin(random))
    s.mxcsr |= random() & (cpu::Mxcsr::kDaz | cpu::Mxcsr::kRounding | cpu::Mxcsr::kFtz);
}

}  // namespace

void prepare(Scene& scene, HoleType hole, std::mt19937_64& random) {
  choose_state(scene, random);
  choose_slots(scene, random);
  choose_values(scene, random);
  scene.immediate = narrowed(immediate_for(hole, random), scene.key);
  scene.displacement = static_cast<i32>(corner_or_random(random));
  scene.left = static_cast<i64>(random());
  scene.rdx = corner_or_random(random);
  scene.host_flags = static_cast<u32>(random()) & cpu::Flag::kArithmetic;
  if (has_address(scene.key)) choose_address(scene, random);
  if (is_special(scene.key)) {
    prepare_special(scene, random);
  } else {
    prepare_micro_op(scene, random);
  }
}

}  // namespace penumbra::jit::test
