#include "frontend/decode_cache.h"

#include <algorithm>
#include <bit>

namespace penumbra::frontend {
namespace {

u64 low_bytes(u64 word, u32 count) { return count >= 8 ? word : word & ((1ull << 8 * count) - 1); }

u64 read_value(const u8* from, u32 size, bool is_signed) {
  u64 value = 0;
  std::memcpy(&value, from, size);
  return is_signed ? sign_extend(value, static_cast<Width>(std::countr_zero(size))) : value;
}

/// The instruction of the same form whose bytes are at `bytes`.
Instruction filled(const Instruction& known, const u8* bytes) {
  Instruction instruction = known;
  const Encoding& encoding = known.encoding;
  if (encoding.displacement_size != 0) {
    u64 value = read_value(bytes + encoding.form_size, encoding.displacement_size, true);
    instruction.operands.memory.displacement = static_cast<i64>(value);
  }
  if (encoding.immediate_size != 0) {
    instruction.operands.immediate = read_value(bytes + encoding.immediate_offset,
                                                encoding.immediate_size, encoding.immediate_signed);
  }
  return instruction;
}

}  // namespace

u32 DecodeCache::index(u64 form, u32 form_size, CodeSize code_size) {
  u64 mixed = (form + form_size * 4 + static_cast<u64>(code_size)) * 0x9e3779b97f4a7c15ull;
  return static_cast<u32>(mixed >> (64 - kIndexBits));
}

const DecodeCache::Entry* DecodeCache::find(u64 word, u32 available, CodeSize code_size) const {
  for (u32 sizes = sizes_[static_cast<u32>(code_size)][word & 0xff]; sizes; sizes &= sizes - 1) {
    u32 form_size = static_cast<u32>(std::countr_zero(sizes)) + 1;
    u64 form = low_bytes(word, form_size);
    const Entry& entry = entries_[index(form, form_size, code_size)];
    bool same = entry.form == form && entry.form_size == form_size &&
                entry.code_size == static_cast<u8>(code_size);
    if (same) return entry.instruction.length() <= available ? &entry : nullptr;
  }
  return nullptr;
}

void DecodeCache::insert(u64 word, CodeSize code_size, const Instruction& instruction) {
  u32 form_size = instruction.encoding.form_size;
  u64 form = low_bytes(word, form_size);
  entries_[index(form, form_size, code_size)] = {form, static_cast<u8>(form_size),
                                                 static_cast<u8>(code_size), instruction};
  sizes_[static_cast<u32>(code_size)][word & 0xff] |= static_cast<u8>(1u << (form_size - 1));
}

std::expected<Instruction, DecodeError> DecodeCache::decode(std::span<const u8> bytes,
                                                            CodeMode mode) {
  CodeSize size = std::min(mode.size(), CodeSize::Long);
  u64 word = 0;
  std::memcpy(&word, bytes.data(), std::min<size_t>(bytes.size(), kMostFormBytes));
  if (const Entry* known = find(word, static_cast<u32>(bytes.size()), size)) {
    return filled(known->instruction, bytes.data());
  }
  auto decoded = frontend::decode(bytes, mode);
  if (decoded && decoded->encoding.is_simple && decoded->encoding.form_size <= kMostFormBytes) {
    insert(word, size, *decoded);
  }
  return decoded;
}

}  // namespace penumbra::frontend
