#include "cpu/integer/strings.h"

#include "cpu/integer/bulk_memory.h"
#include "cpu/integer/straight_strings.h"
#include "cpu/integer/string_walk.h"

namespace penumbra::cpu::ops {
namespace {

using Step = Expected<StringStep>;

Step not_in_bulk(bool external) { return StringStep{0, external, false}; }

void write_accumulator(const StringWalk& walk, u64 value) {
  write_gpr(walk.state(), 0, walk.width(), value);
}

u64 accumulator(const StringWalk& walk) { return walk.state().reg(Reg::Rax) & mask(walk.width()); }

/// Flags of a - b, and whether REPE or REPNE ends there.
bool compare(const StringWalk& walk, u64 a, u64 b) {
  CpuState& state = walk.state();
  state.set_lazy_flags(flag_kind(FlagFamily::Sub, walk.width()), (a - b) & mask(walk.width()), b);
  return walk.operands().repeat == Repeat::Rep ? a != b : a == b;
}

/// run_straight() by way of what every named operation has.
struct Straight {
  CpuContext& ctx;

  u8* direct(u64 linear, u32 size, Access access) const {
    return ctx.memory.direct(linear, size, access);
  }
  u64 iterations_allowed() const { return cpu::iterations_allowed(ctx); }
  void charge(u64 bytes) const { ctx.environment.charge_repeat(bytes); }
};

/// Whether all iterations may run at once.
bool is_allowed(CpuContext& ctx) { return ctx.state.reg(Reg::Rcx) <= cpu::iterations_allowed(ctx); }

struct Movs {
  static Expected<bool> element(const StringWalk& walk) {
    TRY_ASSIGN(u64 value, walk.load(walk.operands().memory.segment, Reg::Rsi));
    TRY(walk.store(Segment::Es, Reg::Rdi, value));
    walk.advance(Reg::Rsi, 1);
    walk.advance(Reg::Rdi, 1);
    return false;
  }

  static bool overlap(const StringWalk& walk, const StringWindow& from, const StringWindow& to,
                      u64 elements) {
    const u8* a = walk.lowest(from, elements);
    const u8* b = walk.lowest(to, elements);
    u64 size = elements * walk.size();
    return a < b + size && b < a + size;
  }

  static Step chunk(const StringWalk& walk, u64 most) {
    Segment segment = walk.operands().memory.segment;
    TRY_ASSIGN(StringWindow from, walk.window(segment, Reg::Rsi, Access::Read, most));
    if (from.host == nullptr) return not_in_bulk(from.external);
    TRY_ASSIGN(StringWindow to, walk.window(Segment::Es, Reg::Rdi, Access::Write, most));
    if (to.host == nullptr) return not_in_bulk(to.external);
    u64 elements = std::min(from.elements, to.elements);
    if (!to.in_place && overlap(walk, from, to, elements)) return not_in_bulk(false);
    if (to.in_place)
      copy_elements(to.host, from.host, elements, walk.width(), walk.backward());
    else
      TRY(walk.write(to, walk.lowest(from, elements), elements));
    walk.advance(Reg::Rsi, elements);
    walk.advance(Reg::Rdi, elements);
    return StringStep{elements};
  }
};

struct Stos {
  static Expected<bool> element(const StringWalk& walk) {
    TRY(walk.store(Segment::Es, Reg::Rdi, accumulator(walk)));
    walk.advance(Reg::Rdi, 1);
    return false;
  }

  static Step chunk(const StringWalk& walk, u64 most) {
    TRY_ASSIGN(StringWindow to, walk.window(Segment::Es, Reg::Rdi, Access::Write, most));
    if (to.host == nullptr) return not_in_bulk(to.external);
    if (to.in_place)
      fill_elements(walk.lowest(to, to.elements), accumulator(walk), to.elements, walk.width());
    else
      TRY(fill_indirectly(walk, to));
    walk.advance(Reg::Rdi, to.elements);
    return StringStep{to.elements};
  }

  [[gnu::noinline]] static Expected<> fill_indirectly(const StringWalk& walk,
                                                      const StringWindow& to) {
    u8 image[kPageSize];
    fill_elements(image, accumulator(walk), to.elements, walk.width());
    return walk.write(to, image, to.elements);
  }
};

struct Lods {
  static Expected<bool> element(const StringWalk& walk) {
    TRY_ASSIGN(u64 value, walk.load(walk.operands().memory.segment, Reg::Rsi));
    write_accumulator(walk, value);
    walk.advance(Reg::Rsi, 1);
    return false;
  }

  static Step chunk(const StringWalk& walk, u64 most) {
    Segment segment = walk.operands().memory.segment;
    TRY_ASSIGN(StringWindow from, walk.window(segment, Reg::Rsi, Access::Read, most));
    if (from.host == nullptr) return not_in_bulk(from.external);
    const u8* last = from.host + static_cast<i64>(from.elements - 1) * walk.stride();
    write_accumulator(walk, load_element(last, walk.width()));
    walk.advance(Reg::Rsi, from.elements);
    return StringStep{from.elements};
  }
};

struct Scas {
  static Expected<bool> element(const StringWalk& walk) {
    TRY_ASSIGN(u64 value, walk.load(Segment::Es, Reg::Rdi));
    walk.advance(Reg::Rdi, 1);
    return compare(walk, accumulator(walk), value);
  }

  static Step chunk(const StringWalk& walk, u64 most) {
    TRY_ASSIGN(StringWindow in, walk.window(Segment::Es, Reg::Rdi, Access::Read, most));
    if (in.host == nullptr) return not_in_bulk(in.external);
    bool until_equal = walk.operands().repeat == Repeat::Repne;
    u64 last = scan_elements({in.host, walk.stride(), walk.width()}, in.elements, accumulator(walk),
                             until_equal);
    u64 value = load_element(in.host + static_cast<i64>(last) * walk.stride(), walk.width());
    walk.advance(Reg::Rdi, last + 1);
    return StringStep{last + 1, false, compare(walk, accumulator(walk), value)};
  }
};

struct Cmps {
  static Expected<bool> element(const StringWalk& walk) {
    TRY_ASSIGN(u64 a, walk.load(walk.operands().memory.segment, Reg::Rsi));
    TRY_ASSIGN(u64 b, walk.load(Segment::Es, Reg::Rdi));
    walk.advance(Reg::Rsi, 1);
    walk.advance(Reg::Rdi, 1);
    return compare(walk, a, b);
  }

  static Step chunk(const StringWalk& walk, u64 most) {
    Segment segment = walk.operands().memory.segment;
    TRY_ASSIGN(StringWindow left, walk.window(segment, Reg::Rsi, Access::Read, most));
    if (left.host == nullptr) return not_in_bulk(left.external);
    TRY_ASSIGN(StringWindow right, walk.window(Segment::Es, Reg::Rdi, Access::Read, most));
    if (right.host == nullptr) return not_in_bulk(right.external);
    u64 elements = std::min(left.elements, right.elements);
    bool until_equal = walk.operands().repeat == Repeat::Repne;
    u64 last = compare_elements({left.host, walk.stride(), walk.width()},
                                {right.host, walk.stride(), walk.width()}, elements, until_equal);
    i64 offset = static_cast<i64>(last) * walk.stride();
    u64 a = load_element(left.host + offset, walk.width());
    u64 b = load_element(right.host + offset, walk.width());
    walk.advance(Reg::Rsi, last + 1);
    walk.advance(Reg::Rdi, last + 1);
    return StringStep{last + 1, false, compare(walk, a, b)};
  }
};

}  // namespace

Outcome movs_string(CpuContext& ctx, const Operands& ops) {
  return is_allowed(ctx) && run_straight<StraightMovs>(ctx.state, Straight{ctx}, ops)
             ? Next::Continue
             : run_string<Movs>(ctx, ops);
}
Outcome stos_string(CpuContext& ctx, const Operands& ops) {
  return is_allowed(ctx) && run_straight<StraightStos>(ctx.state, Straight{ctx}, ops)
             ? Next::Continue
             : run_string<Stos>(ctx, ops);
}
Outcome lods_string(CpuContext& ctx, const Operands& ops) { return run_string<Lods>(ctx, ops); }
Outcome scas_string(CpuContext& ctx, const Operands& ops) {
  return search_straight<StraightScas>(ctx.state, Straight{ctx}, ops) ? Next::Continue
                                                                      : run_string<Scas>(ctx, ops);
}
Outcome cmps_string(CpuContext& ctx, const Operands& ops) {
  return search_straight<StraightCmps>(ctx.state, Straight{ctx}, ops) ? Next::Continue
                                                                      : run_string<Cmps>(ctx, ops);
}

}  // namespace penumbra::cpu::ops
