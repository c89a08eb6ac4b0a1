// The cache of decoded forms says what the decoder says.
#include "frontend/decode_cache.h"

#include <catch2/catch.hpp>
#include <random>
#include <vector>

namespace penumbra::frontend {
namespace {

bool same_memory(const MemoryForm& a, const MemoryForm& b) {
  return a.base == b.base && a.index == b.index && a.scale == b.scale && a.segment == b.segment &&
         a.displacement == b.displacement;
}

bool same_operand(const Operand& a, const Operand& b) {
  return a.kind == b.kind && a.reg == b.reg && a.size == b.size && a.hidden == b.hidden;
}

bool same(const Instruction& x, const Instruction& y) {
  const Operands &a = x.operands, &b = y.operands;
  bool operands = std::equal(a.at.begin(), a.at.end(), b.at.begin(), same_operand);
  return operands && x.mnemonic == y.mnemonic && a.count == b.count && a.length == b.length &&
         a.width == b.width && a.address_width == b.address_width && a.repeat == b.repeat &&
         a.lock == b.lock && a.vex == b.vex && a.far == b.far && a.immediate == b.immediate &&
         a.selector == b.selector && a.x87_opcode == b.x87_opcode &&
         same_memory(a.memory, b.memory) &&
         x.encoding.immediate_offset == y.encoding.immediate_offset &&
         x.encoding.immediate_size == y.encoding.immediate_size;
}

class Bytes {
 public:
  /// Some prefixes, an opcode of any map, anything behind it.
  std::vector<u8> instruction() {
    constexpr u8 kPrefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x65, 0x48, 0x4d, 0x41};
    std::vector<u8> bytes;
    while (pick(3) == 0) bytes.push_back(kPrefixes[pick(std::size(kPrefixes))]);
    if (pick(3) == 0) bytes.push_back(0x0f);
    if (!bytes.empty() && bytes.back() == 0x0f && pick(4) == 0)
      bytes.push_back(0x38 | pick(2) << 1);
    while (bytes.size() < 16) bytes.push_back(byte());
    bytes.resize(pick(8) == 0 ? 1 + pick(16) : 16);
    return bytes;
  }
  void renew(std::vector<u8>& bytes, size_t from) {
    for (size_t i = from; i < bytes.size(); ++i) bytes[i] = byte();
  }
  CodeMode mode() {
    CodeMode mode;
    mode.set_size(static_cast<CodeSize>(pick(3)));
    mode.set(CodeMode::kProtected, pick(4) != 0 || mode.size() == CodeSize::Long);
    return mode;
  }

 private:
  u8 pick(size_t below) { return static_cast<u8>(random_() % below); }
  /// Often one at which a sign changes.
  u8 byte() {
    constexpr u8 kSpecial[] = {0, 0x7f, 0x80, 0xff};
    return pick(3) == 0 ? kSpecial[pick(4)] : static_cast<u8>(random_());
  }
  std::mt19937 random_{1};
};

TEST_CASE("the cache of decoded forms decodes as the decoder does") {
  DecodeCache cache;
  Bytes source;
  u64 good = 0;
  for (int i = 0; i < 40'000; ++i) {
    std::vector<u8> bytes = source.instruction();
    CodeMode mode = source.mode();
    for (int round = 0; round < 4; ++round) {
      auto wanted = decode(bytes, mode), got = cache.decode(bytes, mode);
      REQUIRE(wanted.has_value() == got.has_value());
      if (wanted) {
        ++good;
        if (!same(*wanted, *got)) FAIL("mnemonic " << wanted->mnemonic << ", round " << round);
        source.renew(bytes, round % 2 ? wanted->encoding.form_size : wanted->length() - 1u);
      } else {
        REQUIRE(wanted.error().kind == got.error().kind);
        REQUIRE(wanted.error().fault == got.error().fault);
      }
    }
  }
  CHECK(good > 50'000);
}

}  // namespace
}  // namespace penumbra::frontend
