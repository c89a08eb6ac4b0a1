#include "jit/stencil/extract/instruction.h"

#include <Zydis/Decoder.h>
#include <Zydis/Register.h>
#include <fmt/format.h>

#include <algorithm>

namespace penumbra::jit::extract {
namespace {

constexpr u32 kState = 12, kLeft = 13, kStack = 4;

struct Decoded {
  ZydisDecodedInstruction instruction;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;

  std::span<const ZydisDecodedOperand> all() const {
    return {operands.data(), instruction.operand_count};
  }
  bool is_legacy() const { return instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY; }
  bool is_vex() const { return instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX; }
};

std::unexpected<std::string> refused(std::string why) { return std::unexpected(std::move(why)); }

// -- which instructions a stencil may have --------------------------------------------------------

bool is_allowed_category(ZydisInstructionCategory category) {
  switch (category) {
    case ZYDIS_CATEGORY_ADOX_ADCX:
    case ZYDIS_CATEGORY_AES:
    case ZYDIS_CATEGORY_AVX:
    case ZYDIS_CATEGORY_AVX2:
    case ZYDIS_CATEGORY_BINARY:
    case ZYDIS_CATEGORY_BITBYTE:
    case ZYDIS_CATEGORY_BMI1:
    case ZYDIS_CATEGORY_BMI2:
    case ZYDIS_CATEGORY_BROADCAST:
    case ZYDIS_CATEGORY_CMOV:
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_CONVERT:
    case ZYDIS_CATEGORY_DATAXFER:
    case ZYDIS_CATEGORY_FLAGOP:
    case ZYDIS_CATEGORY_LOGICAL:
    case ZYDIS_CATEGORY_LOGICAL_FP:
    case ZYDIS_CATEGORY_LZCNT:
    case ZYDIS_CATEGORY_MISC:
    case ZYDIS_CATEGORY_NOP:
    case ZYDIS_CATEGORY_PCLMULQDQ:
    case ZYDIS_CATEGORY_PREFETCH:
    case ZYDIS_CATEGORY_ROTATE:
    case ZYDIS_CATEGORY_SEMAPHORE:
    case ZYDIS_CATEGORY_SETCC:
    case ZYDIS_CATEGORY_SHA:
    case ZYDIS_CATEGORY_SHIFT:
    case ZYDIS_CATEGORY_SSE:
    case ZYDIS_CATEGORY_STTNI:
    case ZYDIS_CATEGORY_UNCOND_BR:
    case ZYDIS_CATEGORY_VFMA:
    case ZYDIS_CATEGORY_WIDENOP:
      return true;
    default:
      return false;
  }
}

bool computes_address(const Decoded& decoded) {
  return std::ranges::any_of(decoded.all(), [](const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.type == ZYDIS_MEMOP_TYPE_AGEN;
  });
}

/// Address computations, fences and PAUSE of the category that also holds CPUID and its like.
bool is_allowed_miscellany(const Decoded& decoded) {
  ZydisISAExt extension = decoded.instruction.meta.isa_ext;
  return computes_address(decoded) || extension == ZYDIS_ISA_EXT_SSE ||
         extension == ZYDIS_ISA_EXT_SSE2 || extension == ZYDIS_ISA_EXT_PAUSE;
}

/// VZEROUPPER and VZEROALL: they overwrite every vector register.
bool clears_all_vectors(const ZydisDecodedInstruction& in) {
  return in.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && in.opcode_map == ZYDIS_OPCODE_MAP_0F &&
         in.opcode == 0x77;
}

/// Undefined ones are among them.
u32 flags_written(const ZydisDecodedInstruction& in) {
  const ZydisAccessedFlags* flags = in.cpu_flags;
  if (flags == nullptr) return 0;
  return flags->modified | flags->set_0 | flags->set_1 | flags->undefined;
}

bool changes_system_flags(const ZydisDecodedInstruction& in) {
  constexpr u32 kArithmetic = ZYDIS_CPUFLAG_CF | ZYDIS_CPUFLAG_PF | ZYDIS_CPUFLAG_AF |
                              ZYDIS_CPUFLAG_ZF | ZYDIS_CPUFLAG_SF | ZYDIS_CPUFLAG_OF;
  return (flags_written(in) & ~kArithmetic) != 0;
}

Result<> check_kind(const Decoded& decoded) {
  const ZydisDecodedInstruction& in = decoded.instruction;
  if (in.meta.category == ZYDIS_CATEGORY_CALL) return refused("a call");
  if (in.meta.category == ZYDIS_CATEGORY_RET) return refused("a return");
  if (in.meta.category == ZYDIS_CATEGORY_PUSH || in.meta.category == ZYDIS_CATEGORY_POP)
    return refused("a use of the stack");
  if (in.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) return refused("a far jump");
  if (!decoded.is_legacy() && !decoded.is_vex()) return refused("an encoding beyond VEX");
  if ((in.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) != 0) return refused("a privileged instruction");
  if (changes_system_flags(in)) return refused("a change of system flags");
  if (clears_all_vectors(in)) return refused("an instruction that clears every vector register");
  if (!is_allowed_category(in.meta.category) ||
      (in.meta.category == ZYDIS_CATEGORY_MISC && !is_allowed_miscellany(decoded)))
    return refused("an instruction of a kind that stencils may not have");
  return {};
}

// -- which registers it uses ----------------------------------------------------------------------

enum class Bank : u8 { General, Vector, Other };

struct Register {
  Bank bank;
  u32 number;
};

Register register_of(ZydisRegister name) {
  ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, name);
  switch (ZydisRegisterGetClass(whole)) {
    case ZYDIS_REGCLASS_GPR64:
      return {Bank::General, static_cast<u32>(ZydisRegisterGetId(whole))};
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
    case ZYDIS_REGCLASS_ZMM:
      return {Bank::Vector, static_cast<u32>(ZydisRegisterGetId(whole))};
    default:
      return {Bank::Other, 0};
  }
}

/// Registers that an instruction may use without naming them.
bool is_harmless(ZydisRegister name) {
  ZydisRegisterClass of = ZydisRegisterGetClass(name);
  return of == ZYDIS_REGCLASS_FLAGS || of == ZYDIS_REGCLASS_IP || name == ZYDIS_REGISTER_MXCSR;
}

bool is_high_byte(ZydisRegister name) {
  return name >= ZYDIS_REGISTER_AH && name <= ZYDIS_REGISTER_BH;
}

std::optional<u32> operand_of(Register reg, const Rules& rules) {
  if (reg.bank == Bank::Vector)
    return rules.has_vector_operands && reg.number < 4 ? std::optional(4 + reg.number)
                                                       : std::nullopt;
  switch (reg.number) {
    case 14:
      return 0;
    case 15:
      return 1;
    case 7:
      return 2;
    case 6:
      return 3;
    default:
      return std::nullopt;
  }
}

/// Fields of an instruction that hold a register number.
enum class Place : u8 { Reg, Rm, Base, Index, Opcode, Vvvv, Is4, Implicit };

struct Use {
  Register reg;
  Place place;
  bool reads, writes;
  bool keeps_part;  ///< a write that leaves some bits of the register as they were
};

Place place_of(const ZydisDecodedOperand& operand) {
  switch (operand.encoding) {
    case ZYDIS_OPERAND_ENCODING_MODRM_REG:
      return Place::Reg;
    case ZYDIS_OPERAND_ENCODING_MODRM_RM:
      return Place::Rm;
    case ZYDIS_OPERAND_ENCODING_OPCODE:
      return Place::Opcode;
    case ZYDIS_OPERAND_ENCODING_NDSNDD:
      return Place::Vvvv;
    case ZYDIS_OPERAND_ENCODING_IS4:
      return Place::Is4;
    default:
      return Place::Implicit;
  }
}

/// XOR, SUB and vector XOR and compare-equal of a register with itself: the result does not depend
/// on it. (The source of a zero, or of ones.)
bool ignores_its_input(const Decoded& decoded) {
  const ZydisDecodedInstruction& in = decoded.instruction;
  if (in.raw.modrm.mod != 3) return false;
  if (in.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)
    return in.opcode == 0x31 || in.opcode == 0x33 || in.opcode == 0x29 || in.opcode == 0x2b;
  return in.opcode_map == ZYDIS_OPCODE_MAP_0F &&
         (in.opcode == 0xef || in.opcode == 0x57 || (in.opcode >= 0x74 && in.opcode <= 0x76));
}

bool sources_are_one(const Decoded& decoded) {
  std::optional<ZydisRegister> source;
  for (const ZydisDecodedOperand& operand : decoded.all())
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && !is_harmless(operand.reg.value) &&
        (operand.actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0) {
      if (source && *source != operand.reg.value) return false;
      source = operand.reg.value;
    }
  return source.has_value();
}

bool keeps_part(const Decoded& decoded, const ZydisDecodedOperand& operand, Bank bank) {
  if ((operand.actions & ZYDIS_OPERAND_ACTION_CONDWRITE) != 0) return true;
  return bank == Bank::Vector ? decoded.is_legacy() && operand.size < 128 : operand.size < 32;
}

Result<> add_register(const Decoded& decoded, const ZydisDecodedOperand& operand,
                      std::vector<Use>& uses) {
  if (is_harmless(operand.reg.value)) return {};
  Register reg = register_of(operand.reg.value);
  if (reg.bank == Bank::Other) return refused("a register that is neither general nor vector");
  bool writes = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
  uses.push_back({.reg = reg,
                  .place = place_of(operand),
                  .reads = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0,
                  .writes = writes,
                  .keeps_part = writes && keeps_part(decoded, operand, reg.bank)});
  return {};
}

Result<> add_memory(const Decoded& decoded, const ZydisDecodedOperand& operand,
                    std::vector<Use>& uses) {
  const auto& memory = operand.mem;
  if (memory.segment == ZYDIS_REGISTER_FS || memory.segment == ZYDIS_REGISTER_GS)
    return refused("a segment override");
  bool is_explicit = operand.visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT;
  bool has_sib = (decoded.instruction.attributes & ZYDIS_ATTRIB_HAS_SIB) != 0;
  if (memory.base != ZYDIS_REGISTER_NONE && !is_harmless(memory.base))
    uses.push_back({.reg = register_of(memory.base),
                    .place = !is_explicit ? Place::Implicit
                             : has_sib    ? Place::Base
                                          : Place::Rm,
                    .reads = true});
  if (memory.index != ZYDIS_REGISTER_NONE)
    uses.push_back({.reg = register_of(memory.index),
                    .place = is_explicit ? Place::Index : Place::Implicit,
                    .reads = true});
  return {};
}

Result<std::vector<Use>> register_uses(const Decoded& decoded) {
  std::vector<Use> uses;
  for (const ZydisDecodedOperand& operand : decoded.all()) {
    Result<> added;
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) added = add_register(decoded, operand, uses);
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) added = add_memory(decoded, operand, uses);
    if (!added) return refused(added.error());
  }
  if (ignores_its_input(decoded) && sources_are_one(decoded))
    for (Use& use : uses) use.reads = false;
  return uses;
}

Result<> check_use(const Use& use, const Rules& rules) {
  if (use.reg.bank == Bank::Vector) return {};
  if (use.reg.number == kStack) return refused("a use of the stack");
  if (use.writes && use.reg.number == kState) return refused("a write to r12, the state");
  if (use.writes && use.reg.number == kLeft && !rules.may_write_left)
    return refused("a write to r13, what is left, without the key's bit for it");
  return {};
}

void record(const Use& use, std::optional<u32> operand, Instruction& instruction) {
  if (operand) {
    u8 set = static_cast<u8>(1u << *operand);
    if (use.reads || use.keeps_part) instruction.reads.bits |= set;
    if (use.writes) instruction.writes.bits |= set;
  } else if (use.writes && use.reg.bank == Bank::Vector) {
    instruction.vector_clobbers |= static_cast<u16>(1u << use.reg.number);
  } else if (use.writes && use.reg.number != kLeft) {
    instruction.clobbers |= static_cast<u16>(1u << use.reg.number);
  }
}

// -- the form with register holes -----------------------------------------------------------------

/// What to do with a base register in an address without a displacement (mod = 00).
enum class BaseForm : u8 { Keep, SwapWithIndex, AddDisplacement };

/// Takes an instruction apart and puts it together with prefixes that have room for any register.
class Rewriter {
 public:
  Rewriter(const Decoded& decoded, std::span<const u8> bytes)
      : decoded_(decoded), in_(decoded.instruction), bytes_(bytes) {}

  void rewrite(BaseForm form) {
    form_ = form;
    u32 at = decoded_.is_vex() ? in_.raw.vex.offset : end_of_legacy_prefixes();
    put(0, at);
    prefix_ = static_cast<u32>(result_.size());
    at = decoded_.is_vex() ? put_vex(at) : put_rex(at);
    u32 operands = first_operand_byte();
    put(at, operands);
    opcode_ = static_cast<u32>(result_.size()) - 1;
    moved_ = static_cast<u32>(result_.size()) - operands;
    u32 tail = form == BaseForm::AddDisplacement ? put_zero_displacement(operands) : operands;
    tail_moved_ = static_cast<u32>(result_.size()) - tail;
    put(tail, in_.length);
    if (form == BaseForm::SwapWithIndex) swap_base_and_index();
  }

  /// Makes the place that of register 0 of whichever operand, and tells where it is.
  RegisterField open(Place place, u32 operand) {
    u32 modrm = in_.raw.modrm.offset + moved_, sib = in_.raw.sib.offset + moved_;
    switch (place) {
      case Place::Reg:
        return open_field(modrm, 3, 2, operand);
      case Place::Rm:
        return open_field(modrm, 0, 0, operand);
      case Place::Base:
        return form_ == BaseForm::SwapWithIndex ? open_field(sib, 3, 1, operand)
                                                : open_field(sib, 0, 0, operand);
      case Place::Index:
        return open_field(sib, 3, 1, operand);
      case Place::Opcode:
        return open_field(opcode_, 0, 0, operand);
      case Place::Vvvv:
        result_[prefix_ + 2] |= 0x78;
        return {prefix_ + 2, 3, prefix_ + 2, 6, operand};
      default: {
        u32 last = static_cast<u32>(result_.size()) - 1;  // is4
        result_[last] &= 0x0f;
        return {last, 4, last, 7, operand};
      }
    }
  }

  /// Where a byte of a displacement or an immediate is now.
  u32 moved(u32 offset) const { return offset + tail_moved_; }
  std::vector<u8> take() { return std::move(result_); }

 private:
  bool has(ZydisInstructionAttributes attribute) const { return (in_.attributes & attribute) != 0; }

  u32 end_of_legacy_prefixes() const {
    return has(ZYDIS_ATTRIB_HAS_REX) ? in_.raw.rex.offset : in_.raw.prefix_count;
  }

  void put(u32 from, u32 to) {
    result_.insert(result_.end(), bytes_.begin() + from, bytes_.begin() + to);
  }

  u32 first_operand_byte() const {
    if (has(ZYDIS_ATTRIB_HAS_MODRM)) return in_.raw.modrm.offset;
    if (in_.raw.disp.size != 0) return in_.raw.disp.offset;
    return in_.raw.imm[0].size != 0 ? in_.raw.imm[0].offset : in_.length;
  }

  /// SDM 2A 2.3.5: C5 [R vvvv L pp] is C4 [R 1 1 00001] [0 vvvv L pp].
  u32 put_vex(u32 at) {
    if (bytes_[at] == 0xc4) {
      put(at, at + 3);
      return at + 3;
    }
    u8 packed = bytes_[at + 1];
    u8 first = static_cast<u8>((packed & 0x80) | 0x61), second = packed & 0x7f;
    result_.insert(result_.end(), {0xc4, first, second});
    return at + 2;
  }

  u32 put_rex(u32 at) {
    bool has_rex = has(ZYDIS_ATTRIB_HAS_REX);
    result_.push_back(has_rex ? bytes_[at] : u8{0x40});
    return has_rex ? at + 1 : at;
  }

  /// mod = 01 and a byte of displacement. Returns what follows in the source.
  u32 put_zero_displacement(u32 modrm) {
    u32 behind = modrm + (has(ZYDIS_ATTRIB_HAS_SIB) ? 2 : 1);
    put(modrm, behind);
    result_[modrm + moved_] |= 0x40;
    result_.push_back(0);
    return behind;
  }

  void swap_base_and_index() {
    u8& sib = result_[in_.raw.sib.offset + moved_];
    sib = static_cast<u8>((sib & 0xc0) | (sib & 7) << 3 | (sib >> 3 & 7));
    u8& prefix = result_[decoded_.is_vex() ? prefix_ + 1 : prefix_];
    u32 b = decoded_.is_vex() ? 5 : 0;
    u32 differ = (prefix >> b ^ prefix >> (b + 1)) & 1;
    prefix ^= static_cast<u8>(differ << b | differ << (b + 1));
  }

  /// `bit` of the REX prefix, or of the second byte of VEX, where the same bits are inverted and
  /// five places up.
  RegisterField open_field(u32 field, u32 shift, u32 bit, u32 operand) {
    result_[field] &= static_cast<u8>(~(7u << shift));
    if (!decoded_.is_vex()) {
      result_[prefix_] &= static_cast<u8>(~(1u << bit));
      return {field, shift, prefix_, bit, operand};
    }
    result_[prefix_ + 1] |= static_cast<u8>(1u << (bit + 5));
    return {field, shift, prefix_ + 1, bit + 5, operand};
  }

  const Decoded& decoded_;
  const ZydisDecodedInstruction& in_;
  std::span<const u8> bytes_;
  std::vector<u8> result_;
  BaseForm form_ = BaseForm::Keep;
  u32 prefix_ = 0, opcode_ = 0;
  u32 moved_ = 0, tail_moved_ = 0;  ///< of ModRM and SIB; of displacement and immediates
};

const Use* use_at(const std::vector<Use>& uses, Place place) {
  auto at = std::ranges::find(uses, place, &Use::place);
  return at == uses.end() ? nullptr : &*at;
}

BaseForm base_form(const Decoded& decoded, const std::vector<Use>& uses, const Rules& rules,
                   Instruction& instruction) {
  const ZydisDecodedInstruction& in = decoded.instruction;
  bool has_base = (in.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0 && in.raw.modrm.mod == 0;
  bool has_sib = (in.attributes & ZYDIS_ATTRIB_HAS_SIB) != 0;
  const Use* base = has_base ? use_at(uses, has_sib ? Place::Base : Place::Rm) : nullptr;
  if (base == nullptr || !operand_of(base->reg, rules)) return BaseForm::Keep;
  const Use* index = use_at(uses, Place::Index);
  if (index == nullptr || in.raw.sib.scale != 0 || index->reg.bank != Bank::General ||
      (index->reg.number & 7) == 5)
    return BaseForm::AddDisplacement;
  if (!operand_of(index->reg, rules)) return BaseForm::SwapWithIndex;
  instruction.not_rbp.bits |= static_cast<u8>(1u << *operand_of(base->reg, rules));
  return BaseForm::Keep;
}

Result<> open_registers(const Decoded& decoded, const std::vector<Use>& uses, const Rules& rules,
                        Rewriter& rewriter, Instruction& instruction) {
  for (const ZydisDecodedOperand& operand : decoded.all())
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && is_high_byte(operand.reg.value))
      return refused("a high-byte register beside an operand");
  rewriter.rewrite(base_form(decoded, uses, rules, instruction));
  for (const Use& use : uses) {
    std::optional<u32> operand = operand_of(use.reg, rules);
    if (!operand) continue;
    if (use.place == Place::Implicit) return refused("an implicit use of an operand's register");
    instruction.registers.push_back(rewriter.open(use.place, *operand));
  }
  return {};
}

// -- relocations and jumps ------------------------------------------------------------------------

std::vector<Relocation> relocations_inside(const StencilSource& source, u32 offset, u32 length) {
  auto first = std::ranges::lower_bound(source.relocations, offset, {}, &Relocation::offset);
  auto last =
      std::ranges::lower_bound(source.relocations, offset + length, {}, &Relocation::offset);
  return {first, last};
}

/// Size in bytes of the displacement or immediate that starts at `offset`; 0: none does.
u32 field_size(const ZydisDecodedInstruction& in, u32 offset) {
  if (in.raw.disp.size != 0 && in.raw.disp.offset == offset) return in.raw.disp.size / 8u;
  for (const auto& immediate : in.raw.imm)
    if (immediate.size != 0 && immediate.offset == offset) return immediate.size / 8u;
  return 0;
}

Result<> add_fields(const Decoded& decoded, const std::vector<Relocation>& relocations,
                    const Rewriter* rewriter, Instruction& instruction) {
  for (const Relocation& relocation : relocations) {
    u32 offset = relocation.offset - instruction.offset;
    u32 size = field_size(decoded.instruction, offset);
    if (size == 0) return refused("a relocation of " + relocation.symbol + " at an odd place");
    instruction.fields.push_back(
        {rewriter != nullptr ? rewriter->moved(offset) : offset, size, relocation});
  }
  return {};
}

bool is_rip_relative(const Decoded& decoded) {
  return std::ranges::any_of(decoded.all(), [](const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.base == ZYDIS_REGISTER_RIP;
  });
}

bool uses_ymm(const Decoded& decoded) {
  return std::ranges::any_of(decoded.all(), [](const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
           ZydisRegisterGetClass(operand.reg.value) == ZYDIS_REGCLASS_YMM;
  });
}

Instruction::Kind kind_of(const ZydisDecodedInstruction& in) {
  switch (in.meta.category) {
    case ZYDIS_CATEGORY_NOP:
    case ZYDIS_CATEGORY_WIDENOP:
      return Instruction::Kind::Nop;
    case ZYDIS_CATEGORY_COND_BR:
      return Instruction::Kind::ConditionalJump;
    case ZYDIS_CATEGORY_UNCOND_BR:
      return in.raw.imm[0].is_relative ? Instruction::Kind::Jump : Instruction::Kind::IndirectJump;
    default:
      return Instruction::Kind::Plain;
  }
}

Result<> check_jump(const Decoded& decoded, Instruction::Kind kind, const Rules& rules) {
  const ZydisDecodedInstruction& in = decoded.instruction;
  bool has_condition_code =
      (in.opcode & 0xf0) == (in.opcode_map == ZYDIS_OPCODE_MAP_0F ? 0x80 : 0x70);
  if (kind == Instruction::Kind::ConditionalJump && !has_condition_code)
    return refused("a conditional jump without a condition code");
  if (kind == Instruction::Kind::IndirectJump && !rules.may_jump_anywhere)
    return refused("an indirect jump without the key's bit for it");
  return {};
}

void set_target(const Decoded& decoded, Instruction& instruction) {
  const ZydisDecodedInstruction& in = decoded.instruction;
  instruction.condition = in.opcode & 15;
  if (in.raw.imm[0].is_relative)
    instruction.target = i64{instruction.offset} + in.length + in.raw.imm[0].value.s;
}

Result<Instruction> translate(const Decoded& decoded, const StencilSource& source, u32 offset,
                              const Rules& rules) {
  u32 length = decoded.instruction.length;
  std::span<const u8> bytes(source.code.data() + offset, length);
  Instruction result{.kind = kind_of(decoded.instruction),
                     .offset = offset,
                     .length = length,
                     .bytes = {bytes.begin(), bytes.end()}};
  if (Result<> good = check_kind(decoded); !good) return refused(good.error());
  if (Result<> good = check_jump(decoded, result.kind, rules); !good) return refused(good.error());
  if (result.kind == Instruction::Kind::Nop) return result;
  set_target(decoded, result);

  result.is_wide = uses_ymm(decoded);
  result.writes_flags = flags_written(decoded.instruction) != 0;
  Result<std::vector<Use>> uses = register_uses(decoded);
  if (!uses) return refused(uses.error());
  bool has_operand = false;
  for (const Use& use : *uses) {
    if (Result<> good = check_use(use, rules); !good) return refused(good.error());
    std::optional<u32> operand = operand_of(use.reg, rules);
    record(use, operand, result);
    has_operand |= operand.has_value();
  }
  Rewriter rewriter(decoded, bytes);
  if (has_operand) {
    if (Result<> good = open_registers(decoded, *uses, rules, rewriter, result); !good)
      return refused(good.error());
  }
  std::vector<Relocation> relocations = relocations_inside(source, offset, length);
  if (is_rip_relative(decoded) && relocations.empty()) return refused("a use of its own address");
  if (Result<> good = add_fields(decoded, relocations, has_operand ? &rewriter : nullptr, result);
      !good)
    return refused(good.error());
  if (has_operand) result.bytes = rewriter.take();
  return result;
}

}  // namespace

Result<Instruction> decode(const StencilSource& source, u32 offset, const Rules& rules) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  Decoded decoded;
  ZyanStatus status =
      ZydisDecoderDecodeFull(&decoder, source.code.data() + offset, source.code.size() - offset,
                             &decoded.instruction, decoded.operands.data());
  Result<Instruction> result = ZYAN_SUCCESS(status)
                                   ? translate(decoded, source, offset, rules)
                                   : Result<Instruction>(refused("bytes that are no instruction"));
  if (!result) return refused(fmt::format("{} at +{:#x}", result.error(), offset));
  return result;
}

}  // namespace penumbra::jit::extract
