#include "tests/oracle/random_tests.h"

#include <Zydis/Mnemonic.h>

#include <algorithm>

namespace penumbra::oracle {
namespace {

using frontend::Instruction;

constexpr u64 kStack = kData + 0x1800;

bool chance(Random& random, unsigned one_in) { return random() % one_in == 0; }

u64 interesting_integer(Random& random) {
  static constexpr u64 kValues[] = {0,          1,      2,          0x7f,       0x80,
                                    0xff,       0x7fff, 0x8000,     0xffff,     0x7fffffff,
                                    0x80000000, ~0u,    1ull << 63, ~0ull >> 1, ~0ull};
  switch (random() % 4) {
    case 0:
      return kValues[random() % std::size(kValues)];
    case 1:
      return random() & 0x3f;
    case 2:
      return random() >> (random() % 64);
    default:
      return random();
  }
}

u32 interesting_float(Random& random) {
  static constexpr u32 kValues[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 1,
                                    0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0xff7fffff,
                                    0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001,
                                    0xffa00000, 0x4f000000, 0xcf000000, 0x3f000000, 0x4effffff};
  if (chance(random, 3)) return static_cast<u32>(random());
  if (chance(random, 3)) return 0x3f800000 + static_cast<u32>(random() % 0x2000000) - 0x1000000;
  return kValues[random() % std::size(kValues)];
}

u64 interesting_double(Random& random) {
  static constexpr u64 kValues[] = {0,
                                    1ull << 63,
                                    0x3ff0000000000000,
                                    0xbff0000000000000,
                                    1,
                                    0x000fffffffffffff,
                                    0x0010000000000000,
                                    0x7fefffffffffffff,
                                    0xffefffffffffffff,
                                    0x7ff0000000000000,
                                    0xfff0000000000000,
                                    0x7ff8000000000000,
                                    0xfff8000000000001,
                                    0x7ff0000000000001,
                                    0xfff4000000000000,
                                    0x41dfffffffc00000,
                                    0xc1e0000000000000,
                                    0x43e0000000000000,
                                    0xc3e0000000000000,
                                    0x3fe0000000000000,
                                    0x36a0000000000000,
                                    0x47efffffe0000000,
                                    0x380fffffc0000000};
  if (chance(random, 3)) return random();
  if (chance(random, 3)) return 0x3ff0000000000000 + (random() >> 6) - (1ull << 57);
  return kValues[random() % std::size(kValues)];
}

/// 80 bits: mantissa and the sign with the exponent, pseudo-formats included.
std::pair<u64, u16> interesting_extended(Random& random) {
  static constexpr u16 kExponents[] = {0,      1,      0x3ffe, 0x3fff, 0x4000, 0x401e, 0x403e,
                                       0x403f, 0x7ffe, 0x7fff, 0x7fff, 0x3c00, 0x3f80, 0x43ff};
  static constexpr u64 kMantissas[] = {0,     1ull << 63, 3ull << 62, (1ull << 63) + 1,
                                       ~0ull, 1,          1ull << 62};
  u16 exponent = kExponents[random() % std::size(kExponents)];
  if (chance(random, 3)) exponent = 0x3ff0 + random() % 0x60;
  u64 mantissa =
      chance(random, 2) ? kMantissas[random() % std::size(kMantissas)] : random() | 1ull << 63;
  if (exponent != 0 && exponent != 0x7fff && !chance(random, 12)) mantissa |= 1ull << 63;
  return {mantissa, static_cast<u16>(exponent | (random() & 0x8000))};
}

u64 interesting_lane(Random& random, unsigned style) {
  switch (style % 4) {
    case 0:
      return interesting_double(random);
    case 1:
      return interesting_float(random) | u64{interesting_float(random)} << 32;
    case 2:
      return interesting_integer(random);
    default:
      return random();
  }
}

void draw_vectors(MachineState& state, Random& random) {
  FxImage& fx = state.fx;
  unsigned style = random();
  for (unsigned i = 0; i < 32; ++i) fx.set(FxImage::kXmm + i * 8, interesting_lane(random, style));
  for (auto& half : state.ymm_high)
    for (u64& lane : half) lane = interesting_lane(random, style);
  u32 mxcsr = 0x1f80 | (random() & 0xe03f);  // rounding, FTZ, DAZ (bit 6 below) and sticky bits
  if (chance(random, 2)) mxcsr &= ~0x803fu;
  if (chance(random, 4)) mxcsr |= 0x40;
  if (chance(random, 4)) mxcsr &= ~(random() & 0x1f80);
  fx.set(FxImage::kMxcsr, mxcsr);
}

void draw_x87(FxImage& fx, Random& random) {
  bool mmx = chance(random, 4);
  for (unsigned i = 0; i < 8; ++i) {
    auto [mantissa, exponent] = interesting_extended(random);
    if (mmx) mantissa = interesting_lane(random, 1 + random() % 3);
    fx.set(FxImage::st(i), mantissa);
    fx.set(FxImage::st(i) + 8, u64{mmx ? u16{0xffff} : exponent});
  }
  u16 control = 0x7f | (random() & 0xf00);
  if (chance(random, 3)) control &= ~(random() & 0x3f);
  u16 status = (random() & 0x7f00 & ~0x3800) | (random() % 8) << 11;
  if (chance(random, 4)) status |= random() & control & 0x3f;  // masked ones only
  if (chance(random, 16)) status |= random() & 0x3f;
  if (status & ~control & 0x3f) status |= 0x8080;
  fx.set(FxImage::kControl, static_cast<u16>(control));
  fx.set(FxImage::kStatus, status);
  fx.set<u8>(FxImage::kTags, chance(random, 3) ? random() : chance(random, 2) ? 0xff : 0x7e);
}

/// An address that an operand of `size` bytes may have: inside, aligned or not, across each pair of
/// neighbouring pages, absent, not canonical.
u64 interesting_address(Random& random, unsigned size, CodeSize code) {
  u64 slack = random() % (size + 1);
  switch (random() % 16) {
    case 0:
      return kData + kPageSize - slack;
    case 1:
      return kReadOnlyData - slack;
    case 2:
      return kAbsentData - slack;
    case 3:
      return kAbsentData + kPageSize - slack;
    case 4:
      return kReadOnlyData + random() % 0x800;
    case 5:
      return chance(random, 2) ? kAbsentData + random() % 0x800 : random() % 0x10000;
    case 6:
      // An operand of several accesses may fault in its lower part first: not architectural.
      if (code == CodeSize::Long && size <= 8 && chance(random, 2))
        return chance(random, 2) ? 0x800000000000 - slack : random() | 1ull << 63;
      [[fallthrough]];
    default: {
      u64 address = kData + 0x200 + random() % 0x1800;
      return chance(random, 3) ? address : address & ~15ull;
    }
  }
}

unsigned memory_size(const Instruction& in) {
  for (const Operand& operand : in.operands.at)
    if (operand.is_memory()) return operand.size;
  return 8;
}

bool has_memory(const Instruction& in) {
  return std::any_of(in.operands.at.begin(), in.operands.at.end(),
                     [](const Operand& operand) { return operand.is_memory(); });
}

/// Gives the address registers values so that the operand lies at `address`.
void steer(MachineState& state, const MemoryForm& form, u64 address, Random& random) {
  u64 target = address - static_cast<u64>(form.displacement);
  if (form.segment == Segment::Fs) target -= state.fs_base;
  if (form.segment == Segment::Gs) target -= state.gs_base;
  bool base = form.base < 16 && (form.base != 4 || chance(random, 4)), index = form.index < 16;
  if (index && form.index != form.base) {
    u64 value = base ? random() % 0x40 : target >> form.scale;
    state.gpr[form.index] = value;
    target -= value << form.scale;
  }
  if (base) state.gpr[form.base] = target;
}

/// Bytes of an index of VGATHER and VPGATHER; 0: no such instruction.
unsigned gather_index_size(const Instruction& in) {
  switch (in.mnemonic) {
    case ZYDIS_MNEMONIC_VGATHERDPS:
    case ZYDIS_MNEMONIC_VGATHERDPD:
    case ZYDIS_MNEMONIC_VPGATHERDD:
    case ZYDIS_MNEMONIC_VPGATHERDQ:
      return 4;
    case ZYDIS_MNEMONIC_VGATHERQPS:
    case ZYDIS_MNEMONIC_VGATHERQPD:
    case ZYDIS_MNEMONIC_VPGATHERQD:
    case ZYDIS_MNEMONIC_VPGATHERQQ:
      return 8;
    default:
      return 0;
  }
}

/// Indices around the base, near enough that most elements lie in mapped pages.
void steer_gather(Test& test, const Instruction& in, unsigned index_size, Random& random) {
  const MemoryForm& form = in.operands.memory;
  MachineState& state = test.state;
  u64 address = interesting_address(random, 8, test.size) - static_cast<u64>(form.displacement);
  if (form.segment == Segment::Fs) address -= state.fs_base;
  if (form.segment == Segment::Gs) address -= state.gs_base;
  if (form.base < 16 && form.base != 4) state.gpr[form.base] = address;
  u8 index[32];
  for (unsigned at = 0; at < sizeof index; at += index_size) {
    i64 value = static_cast<i64>(random() % 0x800 >> form.scale) - 0x40;
    if (form.base >= 16) value += static_cast<i64>(address) >> form.scale;
    std::memcpy(index + at, &value, index_size);
  }
  std::memcpy(state.fx.bytes.data() + FxImage::xmm(form.index), index, 16);
  std::memcpy(state.ymm_high[form.index].data(), index + 16, 16);
}

bool is_string(const Instruction& in) {
  return in.operands.count == 0 && in.operands.at[0].is_memory() && in.operands.memory.base >= 6 &&
         in.operands.memory.base <= 7;
}

void steer_string(Test& test, const Instruction& in, Random& random) {
  unsigned size = bytes(in.operands.width);
  test.state.gpr[6] = interesting_address(random, size * 2, test.size);
  test.state.gpr[7] = interesting_address(random, size * 2, test.size);
  if (chance(random, 4)) test.state.gpr[7] = test.state.gpr[6] + random() % 17 - 8;
  if (in.operands.repeat == Repeat::None) return;
  test.state.gpr[1] = chance(random, 8) ? random() % 600 : random() % 40;
  if (in.operands.address_width == Width::W32 && chance(random, 4))
    test.state.gpr[1] |= random() << 32;
}

void write_bytes(Test& test, u64 address, u64 value) {
  for (auto& page : test.pages)
    for (unsigned i = 0; i < 8; ++i)
      if (page_of(address + i) == page.address)
        page.bytes[(address + i) & kPageMask] = static_cast<u8>(value >> (8 * i));
}

/// Interesting numbers where the operand will be read.
void fill_operand(Test& test, u64 address, unsigned size, Random& random) {
  if (size == 10) {
    auto [mantissa, exponent] = interesting_extended(random);
    write_bytes(test, address, mantissa);
    return write_bytes(test, address + 8, exponent);
  }
  unsigned style = random();
  for (unsigned offset = 0; offset < std::min(size, 32u); offset += 8)
    write_bytes(test, address + offset, interesting_lane(random, style));
}

bool compares_text(const Instruction& in) {
  return in.mnemonic == ZYDIS_MNEMONIC_PCMPESTRI || in.mnemonic == ZYDIS_MNEMONIC_PCMPESTRM ||
         in.mnemonic == ZYDIS_MNEMONIC_PCMPISTRI || in.mnemonic == ZYDIS_MNEMONIC_PCMPISTRM;
}

/// Eight bytes, or four words, of an alphabet so small that texts have something in common.
u64 interesting_text(Random& random, bool words, unsigned zeros_one_in) {
  static constexpr u64 kLetters[] = {1, 2, 3, 0x7f, 0x80, 0xff};
  u64 text = 0;
  for (unsigned i = 0; i < 64; i += words ? 16 : 8) {
    u64 letter = kLetters[random() % std::size(kLetters)];
    if (words && letter >= 0x7f) letter |= letter << 8 & 0x8000;
    if (!chance(random, zeros_one_in)) text |= letter << i;
  }
  return text;
}

/// Texts in registers and in the operand, and lengths.
void steer_text(Test& test, const Instruction& in, u64 address, Random& random) {
  bool words = in.operands.immediate & 1;
  unsigned zeros_one_in = 4 + random() % 60;
  for (unsigned i = 0; i < 32; ++i)
    test.state.fx.set(FxImage::kXmm + i * 8, interesting_text(random, words, zeros_one_in));
  if (has_memory(in))
    for (unsigned i = 0; i < 16; i += 8)
      write_bytes(test, address + i, interesting_text(random, words, zeros_one_in));
  if (in.operands.memory.base == 0 || in.operands.memory.base == 2 || chance(random, 4)) return;
  for (unsigned i : {0, 2})
    test.state.gpr[i] = chance(random, 2) ? random() % 18 : 0 - random() % 18;
}

void steer_instruction(Test& test, const Instruction& in, Random& random) {
  if (is_string(in)) return steer_string(test, in, random);
  if (unsigned size = gather_index_size(in)) return steer_gather(test, in, size, random);
  if (!has_memory(in)) {
    if (compares_text(in)) steer_text(test, in, 0, random);
    return;
  }
  unsigned size = memory_size(in);
  u64 address = interesting_address(random, std::max(size, 1u), test.size);
  if (size >= 16 && !chance(random, 4)) address &= ~u64{size - 1};
  steer(test.state, in.operands.memory, address, random);
  fill_operand(test, address, size, random);
  if (compares_text(in)) steer_text(test, in, address, random);
}

void draw_registers(Test& test, Random& random) {
  MachineState& state = test.state;
  for (auto& value : state.gpr) value = interesting_integer(random);
  state.gpr[4] = chance(random, 10) ? interesting_address(random, 16, test.size)
                                    : kStack + random() % 64 * (chance(random, 4) ? 1 : 8);
  if (chance(random, 2)) state.gpr[5] = kStack + 0x40 + random() % 0x100;
  state.fs_base = kData + 0x100;
  state.gs_base = kData + 0x1000;
  state.rflags = 0x202 | (random() & 0x8d5) | (chance(random, 6) ? 0x400 : 0);
  draw_vectors(state, random);
  draw_x87(state.fx, random);
}

/// 32 and 16-bit code: 32-bit registers; 16-bit offsets from kData16.
void narrow(Test& test) {
  for (auto& value : test.state.gpr) value &= 0xffffffff;
  test.state.fs_base = test.state.gs_base = 0;
  if (test.size == CodeSize::Bits16)
    for (unsigned i = 3; i < 8; ++i) test.state.gpr[i] &= 0xffff;
}

}  // namespace

std::vector<PageImage> standard_pages(u64 seed) {
  std::vector<PageImage> pages;
  for (u64 address : {kData, kData + kPageSize, kReadOnlyData, kAbsentData + kPageSize}) {
    pages.push_back({address, address != kReadOnlyData, std::vector<u8>(kPageSize)});
    fill_pattern(address, seed, pages.back().bytes.data());
  }
  return pages;
}

Test standard_test(CodeSize size, u64 seed) {
  Test test;
  test.size = size;
  test.state = MachineState::initial();
  test.state.gpr[4] = size == CodeSize::Bits16 ? kStack - kData16 : kStack;
  test.pages = standard_pages(seed);
  test.pattern_seed = seed;
  test.most_mapped = 0;
  return test;
}

Test random_test(const std::vector<Drawn>& instructions, CodeSize size, Random& random) {
  Test test = standard_test(size, random() % 4 * 2 + 1);
  draw_registers(test, random);
  for (const Drawn& drawn : instructions)
    test.code.insert(test.code.end(), drawn.bytes.begin(), drawn.bytes.end());
  // The first instruction gets its address last, so that it surely gets it.
  for (auto drawn = instructions.rbegin(); drawn != instructions.rend(); ++drawn)
    steer_instruction(test, drawn->instruction, random);
  if (size != CodeSize::Long) narrow(test);
  return test;
}

}  // namespace penumbra::oracle
