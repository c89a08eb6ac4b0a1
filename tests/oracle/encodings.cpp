#include "tests/oracle/encodings.h"

#include <set>
#include <tuple>

#include "frontend/decoder.h"

namespace penumbra::oracle {
namespace {

using frontend::Instruction;
using frontend::Mnemonic;

/// What instantiate() draws besides the form.
struct Choice {
  u8 reg = 0, rm = 1, base = 3, index = 6, scale = 0;
  u8 vvvv = 0;  ///< 0 also where no register stands there
  bool reg_high = false, rm_high = false, index_high = false;
  u8 mod = 1;  ///< of a memory operand: 0, 1, 2
  bool sib = false, absolute = false;
  i32 displacement = 0x10;
  u8 segment = 0;  ///< override prefix or 0
  bool address_size = false, lock = false;
  u8 repeat = 0;  ///< F2h or F3h in front of a string instruction
  u64 immediate = 0x0706050403020181;
};

void append(std::vector<u8>& bytes, u64 value, unsigned count) {
  for (unsigned i = 0; i < count; ++i) bytes.push_back(static_cast<u8>(value >> (8 * i)));
}

void append_prefixes(std::vector<u8>& bytes, const Form& form, CodeSize size, const Choice& c) {
  if (c.lock) bytes.push_back(0xf0);
  if (c.segment != 0) bytes.push_back(c.segment);
  if (c.address_size) bytes.push_back(0x67);
  if (c.repeat != 0) bytes.push_back(c.repeat);
  if (form.vex) return;
  if (form.prefix != 0) bytes.push_back(form.prefix);
  if (size != CodeSize::Long) return;
  u8 rex = (form.w << 3) | (c.reg_high << 2) | (c.index_high << 1) | u8{c.rm_high};
  if (rex != 0) bytes.push_back(0x40 | rex);
}

void append_opcode(std::vector<u8>& bytes, const Form& form, CodeSize size, const Choice& c) {
  if (form.vex) {
    u8 pp = form.prefix == 0x66 ? 1 : form.prefix == 0xf3 ? 2 : form.prefix == 0xf2 ? 3 : 0;
    bool wide = size == CodeSize::Long;
    bytes.push_back(0xc4);
    bytes.push_back(((c.reg_high && wide) ? 0 : 0x80) | ((c.index_high && wide) ? 0 : 0x40) |
                    ((c.rm_high && wide) ? 0 : 0x20) | static_cast<u8>(form.map));
    bytes.push_back((form.w << 7) | ((~c.vvvv & (wide ? 15 : 7)) << 3) | (wide ? 0 : 0x40) |
                    (form.l << 2) | pp);
  } else if (form.map != OpcodeMap::Primary) {
    bytes.push_back(0x0f);
    if (form.map == OpcodeMap::Map0f38) bytes.push_back(0x38);
    if (form.map == OpcodeMap::Map0f3a) bytes.push_back(0x3a);
  }
  bytes.push_back(form.opcode);
}

void append_memory(std::vector<u8>& bytes, u8 reg, CodeSize size, const Choice& c) {
  bool small = (size == CodeSize::Bits16) != c.address_size && size != CodeSize::Long;
  if (c.absolute) {
    bytes.push_back((reg << 3) | (small ? 6 : 5));
    return append(bytes, static_cast<u32>(c.displacement), small ? 2 : 4);
  }
  u8 base = small ? 7 : c.base;
  bool sib = !small && (c.sib || (base & 7) == 4);
  u8 mod = c.mod == 0 && (base & 7) == 5 ? 1 : c.mod;
  bytes.push_back((mod << 6) | (reg << 3) | (sib ? 4 : base & 7));
  if (sib) bytes.push_back((c.scale << 6) | ((c.sib ? c.index & 7 : 4) << 3) | (base & 7));
  if (mod == 1) append(bytes, static_cast<u8>(c.displacement), 1);
  if (mod == 2) append(bytes, static_cast<u32>(c.displacement), small ? 2 : 4);
}

std::vector<u8> assemble(const Form& form, CodeSize size, const Choice& choice) {
  std::vector<u8> bytes;
  append_prefixes(bytes, form, size, choice);
  append_opcode(bytes, form, size, choice);
  u8 reg = choice.reg & 7;
  if (form.memory)
    append_memory(bytes, reg, size, choice);
  else
    bytes.push_back(0xc0 | (reg << 3) | (choice.rm & 7));
  append(bytes, choice.immediate, 8);
  return bytes;
}

/// What two forms may share and still be the same instruction: then one of them is enough.
auto signature(const Form& form, const Instruction& in) {
  const auto& at = in.operands.at;
  auto key = [](const Operand& o) { return static_cast<u32>(o.kind) << 16 | o.size; };
  return std::tuple(form.map, form.opcode, form.prefix, form.w, form.vex, form.l, in.mnemonic,
                    key(at[0]), key(at[1]), key(at[2]), key(at[3]), in.operands.width,
                    in.operands.count);
}

std::expected<Instruction, frontend::DecodeError> decode_trimmed(std::vector<u8>& bytes,
                                                                 CodeSize size) {
  auto result = frontend::decode(bytes, user_mode(size));
  if (result) bytes.resize(result->length());
  return result;
}

bool chance(Random& random, unsigned one_in) { return random() % one_in == 0; }

u8 pick(Random& random, std::initializer_list<u8> values) {
  return values.begin()[random() % values.size()];
}

void draw_addressing(Choice& c, const Form& form, CodeSize size, Random& random) {
  c.base = pick(random, {3, 3, 4, 5, 6, 7, 0, 1, 2});
  c.rm_high = size == CodeSize::Long && random() % 4 == 0;
  c.index = random() % 8;
  c.index_high = size == CodeSize::Long && random() % 4 == 0;
  if (c.index == 4 && !c.index_high) c.index = 6;
  c.scale = random() % 4;
  c.sib = form.vsib || random() % 4 == 0;
  c.mod = random() % 3;
  c.absolute = random() % 16 == 0;
  c.displacement = c.absolute ? 0x400 + static_cast<i32>(random() % 0x3000)
                              : static_cast<i32>(random() % 256) - 128;
  if (random() % 16 == 0) c.segment = pick(random, {0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65});
  c.address_size = random() % 24 == 0;
}

Choice draw(const Form& form, CodeSize size, Random& random) {
  Choice c;
  c.reg = form.reg;
  c.reg_high = size == CodeSize::Long && random() % 4 == 0;
  c.rm = random() % 2 ? form.rm : random() % 8;
  c.rm_high = size == CodeSize::Long && random() % 4 == 0;
  c.vvvv = random() % (size == CodeSize::Long ? 16 : 8);
  if (form.vex && chance(random, 2)) c.vvvv = 0;
  c.immediate = random();
  if (form.memory) draw_addressing(c, form, size, random);
  c.lock = form.memory && random() % 8 == 0;
  c.repeat = random() % 4 == 0 ? pick(random, {0xf2, 0xf3}) : 0;
  return c;
}

bool repeatable(const Instruction& in) { return in.operands.repeat != Repeat::None; }

/// A drawn instance is kept if it is still the instruction that was asked for.
bool accept(const Choice& choice, const std::expected<Instruction, frontend::DecodeError>& result,
            Mnemonic mnemonic) {
  if (!result || result->mnemonic != mnemonic) return false;
  return choice.repeat == 0 || repeatable(*result);
}

}  // namespace

CodeMode user_mode(CodeSize size) {
  CodeMode mode;
  mode.set_size(size);
  mode.set_cpl(3);
  mode.set(CodeMode::kProtected, true);
  mode.set(CodeMode::kLongActive, true);
  return mode;
}

std::vector<u8> plain(const Form& form, CodeSize size) {
  Choice choice;
  choice.sib = form.vsib;
  choice.reg = form.reg;
  choice.rm = form.rm;
  auto bytes = assemble(form, size, choice);
  bytes.resize(15);
  return bytes;
}

namespace {

/// Prefixes are drawn by instantiate().
bool is_prefix(unsigned opcode, CodeSize size) {
  switch (opcode) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3:
      return true;
    default:
      return size == CodeSize::Long && opcode >= 0x40 && opcode <= 0x4f;
  }
}

/// AVX2's gathers need a SIB byte.
bool is_gather(const Form& form) {
  return form.vex && form.map == OpcodeMap::Map0f38 && form.opcode >= 0x90 && form.opcode <= 0x93;
}

bool rm_selects(const Form& form) {
  if (form.map == OpcodeMap::Primary) return form.opcode >= 0xd8 && form.opcode <= 0xdf;
  return form.map == OpcodeMap::Map0f && (form.opcode == 0x01 || form.opcode == 0xae);
}

void append_modrm_forms(std::vector<Form>& forms, Form form) {
  for (form.reg = 0; form.reg < 8; ++form.reg) {
    form.rm = 1;
    form.memory = true;
    forms.push_back(form);
    form.vsib = is_gather(form);
    if (form.vsib) forms.push_back(form);
    form.memory = form.vsib = false;
    bool every_rm = rm_selects(form);
    for (form.rm = every_rm ? 0 : 1; form.rm < (every_rm ? 8 : 2); ++form.rm) forms.push_back(form);
  }
}

}  // namespace

std::vector<Form> all_forms(CodeSize size) {
  std::vector<Form> forms;
  unsigned most_w = size == CodeSize::Long ? 2 : 1;
  for (unsigned vex = 0; vex < 2; ++vex)
    for (unsigned map = vex; map < 4; ++map)
      for (unsigned opcode = 0; opcode < 256; ++opcode) {
        if (map == 0 && is_prefix(opcode, size)) continue;
        for (u8 prefix : {0x00, 0x66, 0xf2, 0xf3})
          for (unsigned w = 0; w < (vex ? 2 : most_w); ++w)
            for (unsigned l = 0; l <= vex; ++l)
              append_modrm_forms(forms, {static_cast<OpcodeMap>(map), static_cast<u8>(opcode),
                                         prefix, w != 0, vex != 0, l != 0});
      }
  return forms;
}

std::map<Mnemonic, std::vector<Form>> enumerate_forms(CodeSize size) {
  std::map<Mnemonic, std::vector<Form>> found;
  std::set<decltype(signature({}, {}))> seen;
  for (const Form& form : all_forms(size)) {
    auto bytes = plain(form, size);
    auto result = decode_trimmed(bytes, size);
    if (!result) continue;
    if (seen.insert(signature(form, *result)).second) found[result->mnemonic].push_back(form);
  }
  return found;
}

Drawn instantiate(const Form& form, Mnemonic mnemonic, CodeSize size, Random& random) {
  for (int attempt = 0; attempt < 20; ++attempt) {
    Choice choice = draw(form, size, random);
    if (random() % 2) choice.reg = random() % 8;
    auto bytes = assemble(form, size, choice);
    auto result = decode_trimmed(bytes, size);
    if (accept(choice, result, mnemonic)) return {bytes, *result};
  }
  return decoded(plain(form, size), size);
}

Drawn decoded(std::vector<u8> bytes, CodeSize size) {
  auto result = decode_trimmed(bytes, size);
  return {std::move(bytes), result ? *result : Instruction{}};
}

}  // namespace penumbra::oracle
