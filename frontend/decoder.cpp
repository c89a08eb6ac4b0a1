#include "frontend/decoder.h"

#include <Zydis/Decoder.h>
#include <Zydis/Register.h>

#include <algorithm>

namespace penumbra::frontend {
namespace {

constexpr size_t kMaxLength = 15;  // SDM 2A 2.3.11

struct Decoded {
  ZydisDecodedInstruction instruction;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

ZydisDecoder make_decoder(CodeSize size) {
  static constexpr ZydisMachineMode kModes[] = {
      ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_MACHINE_MODE_LONG_64};
  static constexpr ZydisStackWidth kStacks[] = {ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32,
                                                ZYDIS_STACK_WIDTH_64};
  ZydisDecoder decoder;
  auto index = static_cast<size_t>(size);
  ZydisDecoderInit(&decoder, kModes[index], kStacks[index]);
  ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYAN_TRUE);
  // Without these extensions their encodings are the NOPs that they were carved from.
  ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
  ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
  ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
  return decoder;
}

const ZydisDecoder& decoder_for(CodeSize size) {
  static const ZydisDecoder decoders[] = {
      make_decoder(CodeSize::Bits16), make_decoder(CodeSize::Bits32), make_decoder(CodeSize::Long)};
  return decoders[std::min<size_t>(static_cast<size_t>(size), 2)];
}

std::unexpected<DecodeError> exception(Fault fault) {
  return std::unexpected(DecodeError{DecodeError::Kind::Exception, fault});
}

/// APM 3, PREFETCHx: 0F 0D takes memory only.
bool is_register_prefetch(const ZydisDecodedInstruction& in) {
  return in.opcode_map == ZYDIS_OPCODE_MAP_0F && in.opcode == 0x0d && in.raw.modrm.mod == 3;
}

/// VPEXTRQ and VPINSRQ, which 64-bit mode alone has: elsewhere VEX.W is not ignored.
bool is_quadword_lane(const ZydisDecodedInstruction& in) {
  bool lane = in.opcode_map == ZYDIS_OPCODE_MAP_0F3A && (in.opcode == 0x16 || in.opcode == 0x22);
  return lane && in.raw.vex.W != 0 && in.machine_mode != ZYDIS_MACHINE_MODE_LONG_64;
}

/// Whether the reference CPU has the encoding space at all.
bool exists(const ZydisDecodedInstruction& in, CodeMode mode) {
  switch (in.encoding) {
    case ZYDIS_INSTRUCTION_ENCODING_LEGACY:
      return in.meta.isa_set != ZYDIS_ISA_SET_AMD3DNOW && !is_register_prefetch(in);
    case ZYDIS_INSTRUCTION_ENCODING_VEX:
      return !mode.real_or_v86() && !is_quadword_lane(in);  // SDM 2A 2.3.2
    default:
      return false;  // 3DNow!, XOP, EVEX, MVEX
  }
}

bool is_long(const ZydisDecodedInstruction& in) {
  return in.machine_mode == ZYDIS_MACHINE_MODE_LONG_64;
}

bool rex_w(const ZydisDecodedInstruction& in) { return in.raw.rex.W != 0; }

bool has_operand_size_prefix(const ZydisDecodedInstruction& in) {
  return (in.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) != 0 ||
         std::any_of(in.raw.prefixes, in.raw.prefixes + in.raw.prefix_count,
                     [](const auto& prefix) { return prefix.value == 0x66; });
}

bool is_near_branch(const ZydisDecodedInstruction& in) {
  return in.meta.branch_type == ZYDIS_BRANCH_TYPE_SHORT ||
         in.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR;
}

/// APM 3, 1.2.7: near branches in 64-bit mode obey 66h, where REX.W does not overrule it.
bool is_short_near_branch(const ZydisDecodedInstruction& in) {
  return is_long(in) && is_near_branch(in) && !rex_w(in) && has_operand_size_prefix(in);
}

Width width_of_bits(unsigned bits) {
  return bits == 8 ? Width::W8 : bits == 16 ? Width::W16 : bits == 64 ? Width::W64 : Width::W32;
}

/// INS, OUTS, MOVS, CMPS, STOS, LODS, SCAS: the instructions that F2h and F3h repeat.
bool is_string(const ZydisDecodedInstruction& in) {
  if (in.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT) return false;
  if (in.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY) return false;
  return (in.opcode >= 0x6c && in.opcode <= 0x6f) || (in.opcode >= 0xa4 && in.opcode <= 0xa7) ||
         (in.opcode >= 0xaa && in.opcode <= 0xaf);
}

/// F2h or F3h, the last of them, or 0.
u8 last_repeat_prefix(const ZydisDecodedInstruction& in) {
  for (unsigned i = in.raw.prefix_count; i-- > 0;)
    if (u8 value = in.raw.prefixes[i].value; value == 0xf2 || value == 0xf3) return value;
  return 0;
}

/// F2h repeats like F3h where no condition ends the loop.
Repeat repeat_of(const ZydisDecodedInstruction& in) {
  if (!is_string(in)) return Repeat::None;
  bool compares = (in.opcode | 1) == 0xa7 || (in.opcode | 1) == 0xaf;
  u8 prefix = last_repeat_prefix(in);
  if (prefix == 0) return Repeat::None;
  return prefix == 0xf2 && compares ? Repeat::Repne : Repeat::Rep;
}

/// Kind and number of a register; kind None for what Operand does not describe.
Operand register_operand(ZydisRegister reg) {
  auto id = static_cast<u8>(ZydisRegisterGetId(reg));
  switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_GPR8:
      if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
        return {OperandKind::GprHigh, static_cast<u8>(reg - ZYDIS_REGISTER_AH)};
      if (reg <= ZYDIS_REGISTER_BL)
        return {OperandKind::Gpr, static_cast<u8>(reg - ZYDIS_REGISTER_AL)};
      return {OperandKind::Gpr, static_cast<u8>(reg - ZYDIS_REGISTER_SPL + 4)};
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
      return {OperandKind::Gpr, id};
    case ZYDIS_REGCLASS_X87:
      return {OperandKind::X87, id};
    case ZYDIS_REGCLASS_MMX:
      return {OperandKind::Mmx, id};
    case ZYDIS_REGCLASS_XMM:
      return {OperandKind::Xmm, id};
    case ZYDIS_REGCLASS_YMM:
      return {OperandKind::Ymm, id};
    case ZYDIS_REGCLASS_SEGMENT:
      return {OperandKind::Segment, id};
    case ZYDIS_REGCLASS_CONTROL:
      return {OperandKind::Control, id};
    case ZYDIS_REGCLASS_DEBUG:
      return {OperandKind::Debug, id};
    default:
      return {};
  }
}

u8 address_register(ZydisRegister reg) {
  if (reg == ZYDIS_REGISTER_NONE) return MemoryForm::kNone;
  if (ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_IP) return MemoryForm::kRip;
  return static_cast<u8>(ZydisRegisterGetId(reg));  // a vector register as index of a gather
}

u8 log2_scale(u8 scale) { return scale == 8 ? 3 : scale == 4 ? 2 : scale == 2 ? 1 : 0; }

MemoryForm memory_form(const ZydisDecodedOperandMem& memory) {
  MemoryForm form;
  form.base = address_register(memory.base);
  form.index = address_register(memory.index);
  form.scale = log2_scale(memory.scale);
  if (memory.segment != ZYDIS_REGISTER_NONE)
    form.segment = static_cast<Segment>(ZydisRegisterGetId(memory.segment));
  form.displacement = memory.disp.value;
  return form;
}

/// Collects operands into the compact form.
class OperandList {
 public:
  explicit OperandList(Operands& out) : out_(out) {}

  /// False for an operand that the reference CPU has no register for.
  bool add_visible(const ZydisDecodedOperand& operand) {
    if (used_ == out_.at.size()) return false;
    Operand compact = convert(operand);
    if (compact.kind == OperandKind::None) return false;
    out_.at[used_++] = compact;
    out_.count = used_;
    return true;
  }

  void add_hidden(const ZydisDecodedOperand& operand) {
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) return add_hidden_memory(operand);
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) return;
    Operand compact = register_operand(operand.reg.value);
    if (compact.kind == OperandKind::None || compact.kind == OperandKind::Control) return;
    if (compact.kind == OperandKind::Gpr && compact.reg == 4) return;  // the stack is understood
    push_hidden(compact, operand.size);
  }

 private:
  Operand convert(const ZydisDecodedOperand& operand) {
    Operand compact;
    switch (operand.type) {
      case ZYDIS_OPERAND_TYPE_REGISTER:
        compact = register_operand(operand.reg.value);
        break;
      case ZYDIS_OPERAND_TYPE_MEMORY:
        return memory(operand);
      case ZYDIS_OPERAND_TYPE_POINTER:
        compact.kind = OperandKind::FarPointer;
        out_.immediate = operand.ptr.offset;
        out_.selector = operand.ptr.segment;
        break;
      case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        compact.kind = operand.imm.is_relative ? OperandKind::Relative : OperandKind::Immediate;
        add_immediate(operand.imm.value.u);
        break;
      default:
        break;
    }
    compact.size = operand.size / 8;
    return compact;
  }

  Operand memory(const ZydisDecodedOperand& operand) {
    out_.memory = memory_form(operand.mem);
    has_memory_ = true;
    bool address_only = operand.mem.type == ZYDIS_MEMOP_TYPE_AGEN;
    return {OperandKind::Memory, 0, static_cast<u16>(address_only ? 0 : operand.size / 8)};
  }

  void add_immediate(u64 value) {
    if (immediates_++ == 0)
      out_.immediate = value;
    else
      out_.selector = static_cast<u16>(value);
  }

  /// Of the two memory operands of MOVS and CMPS the one at rSI is kept: it has the segment, the
  /// other is always ES:rDI. Stack slots are understood.
  void add_hidden_memory(const ZydisDecodedOperand& operand) {
    u8 base = address_register(operand.mem.base);
    if (base == 4) return;
    if (!has_memory_)
      push_hidden(memory(operand), operand.size);
    else if (base == 6)
      out_.memory = memory_form(operand.mem);
  }

  void push_hidden(Operand operand, u16 bits) {
    if (used_ == out_.at.size()) return;
    operand.hidden = true;
    operand.size = bits / 8;
    out_.at[used_++] = operand;
  }

  Operands& out_;
  u8 used_ = 0;
  u8 immediates_ = 0;
  bool has_memory_ = false;
};

bool fill_operands(const Decoded& decoded, Operands& out) {
  OperandList list(out);
  const auto& in = decoded.instruction;
  for (unsigned i = 0; i < in.operand_count_visible; ++i)
    if (!list.add_visible(decoded.operands[i])) return false;
  for (unsigned i = in.operand_count_visible; i < in.operand_count; ++i)
    list.add_hidden(decoded.operands[i]);
  return true;
}

bool loads_far_pointer(const ZydisDecodedInstruction& in) {
  switch (in.mnemonic) {
    case ZYDIS_MNEMONIC_LSS:
    case ZYDIS_MNEMONIC_LFS:
    case ZYDIS_MNEMONIC_LGS:
      return true;
    default:
      return in.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR && in.opcode == 0xff;
  }
}

void resize(Operands& out, OperandKind kind, u16 size) {
  for (Operand& operand : out.at)
    if (operand.kind == kind) operand.size = size;
}

/// 90h with REX.B is XCHG r8, rAX whatever F3h stands before it (APM 3, XCHG).
void become_xchg_r8(Instruction& result) {
  result.mnemonic = ZYDIS_MNEMONIC_XCHG;
  auto size = static_cast<u16>(bytes(result.operands.width));
  result.operands.at[0] = {OperandKind::Gpr, 8, size};
  result.operands.at[1] = {OperandKind::Gpr, 0, size};
  result.operands.count = 2;
}

/// The reference CPU takes the condition of LOOPE and LOOPNE from F2h or F3h where one stands.
Mnemonic loop_condition(const ZydisDecodedInstruction& in) {
  bool conditional = in.mnemonic == ZYDIS_MNEMONIC_LOOPE || in.mnemonic == ZYDIS_MNEMONIC_LOOPNE;
  u8 prefix = conditional ? last_repeat_prefix(in) : 0;
  if (prefix == 0) return in.mnemonic;
  return prefix == 0xf2 ? ZYDIS_MNEMONIC_LOOPNE : ZYDIS_MNEMONIC_LOOPE;
}

/// What the reference CPU does otherwise than the decoder library says.
void apply_vendor(const ZydisDecodedInstruction& in, Instruction& result) {
  Operands& out = result.operands;
  result.mnemonic = loop_condition(in);
  if (is_short_near_branch(in)) {
    out.width = Width::W16;
    resize(out, OperandKind::Memory, 2);
    resize(out, OperandKind::Gpr, 2);
  }
  if (in.mnemonic == ZYDIS_MNEMONIC_PAUSE && in.raw.rex.B != 0) become_xchg_r8(result);
  // APM 3, JMP (Far), LFS: REX.W gives the 32-bit form, there is no m16:64.
  if (rex_w(in) && loads_far_pointer(in)) {
    out.width = Width::W32;
    resize(out, OperandKind::Memory, 6);
    resize(out, OperandKind::Gpr, 4);
  }
  if (in.mnemonic == ZYDIS_MNEMONIC_INVLPG) resize(out, OperandKind::Memory, 0);
}

/// SDM 1, 8.1.9: the low three bits of the first opcode byte, then ModRM.
u16 x87_opcode(const ZydisDecodedInstruction& in) {
  bool escape = in.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (in.opcode & 0xf8) == 0xd8;
  if (!escape) return 0;
  const auto& modrm = in.raw.modrm;
  return static_cast<u16>((in.opcode & 7) << 8 | modrm.mod << 6 | modrm.reg << 3 | modrm.rm);
}

Encoding encoding_of(const ZydisDecodedInstruction& in) {
  const auto& displacement = in.raw.disp;
  const auto& immediate = in.raw.imm[0];
  Encoding encoding{.form_size = in.length,
                    .displacement_size = static_cast<u8>(displacement.size / 8),
                    .immediate_offset = immediate.offset,
                    .immediate_size = static_cast<u8>(immediate.size / 8),
                    .immediate_signed = immediate.is_signed || immediate.is_relative};
  if (immediate.size != 0) encoding.form_size = immediate.offset;
  if (displacement.size != 0) encoding.form_size = displacement.offset;
  bool address_alone = displacement.size != 0 && (in.attributes & ZYDIS_ATTRIB_HAS_MODRM) == 0;
  encoding.is_simple =
      in.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && in.raw.imm[1].size == 0 && !address_alone;
  return encoding;
}

std::expected<Instruction, DecodeError> compact(const Decoded& decoded, CodeMode mode) {
  const auto& in = decoded.instruction;
  if (!exists(in, mode)) return exception(Fault::ud());
  Instruction result;
  result.mnemonic = in.mnemonic;
  Operands& out = result.operands;
  out.length = in.length;
  out.width = width_of_bits(in.operand_width);
  out.address_width = width_of_bits(in.address_width);
  out.repeat = repeat_of(in);
  out.far = in.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
  out.vex = in.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
  out.x87_opcode = x87_opcode(in);
  out.lock = (in.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0;
  if (!fill_operands(decoded, out)) return exception(Fault::ud());
  apply_vendor(in, result);
  result.encoding = encoding_of(in);
  return result;
}

ZyanStatus run(std::span<const u8> bytes, CodeMode mode, Decoded& out) {
  return ZydisDecoderDecodeFull(&decoder_for(mode.size()), bytes.data(), bytes.size(),
                                &out.instruction, out.operands);
}

/// APM 3, MOV CRn: LOCK MOV CR0 is MOV CR8 (CPUID 8000_0001h ECX.AltMovCr8).
std::expected<Instruction, DecodeError> decode_locked(std::span<const u8> bytes, CodeMode mode) {
  u8 unlocked[kMaxLength];
  std::copy(bytes.begin(), bytes.end(), unlocked);
  std::replace(unlocked, unlocked + bytes.size(), u8{0xf0}, u8{0x3e});
  Decoded decoded;
  if (ZYAN_FAILED(run({unlocked, bytes.size()}, mode, decoded))) return exception(Fault::ud());
  if (decoded.instruction.mnemonic != ZYDIS_MNEMONIC_MOV) return exception(Fault::ud());
  auto result = compact(decoded, mode);
  if (!result) return result;
  for (Operand& operand : result->operands.at) {
    if (operand.kind != OperandKind::Control || operand.reg != 0) continue;
    operand.reg = 8;
    return result;
  }
  return exception(Fault::ud());
}

}  // namespace

std::expected<Instruction, DecodeError> decode(std::span<const u8> bytes, CodeMode mode) {
  constexpr DecodeError kTruncated{DecodeError::Kind::Truncated, Fault::ud()};
  if (bytes.empty()) return std::unexpected(kTruncated);
  bytes = bytes.first(std::min(bytes.size(), kMaxLength));
  Decoded decoded;
  switch (run(bytes, mode, decoded)) {
    case ZYAN_STATUS_SUCCESS:
      return compact(decoded, mode);
    case ZYDIS_STATUS_NO_MORE_DATA:
      if (bytes.size() < kMaxLength) return std::unexpected(kTruncated);
      return exception(Fault::gp());
    case ZYDIS_STATUS_INSTRUCTION_TOO_LONG:
      return exception(Fault::gp());
    case ZYDIS_STATUS_ILLEGAL_LOCK:
      return decode_locked(bytes, mode);
    default:
      return exception(Fault::ud());
  }
}

}  // namespace penumbra::frontend
