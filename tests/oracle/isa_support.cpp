#include "tests/oracle/isa_support.h"

#include <Zydis/Zydis.h>

#include <optional>
#include <string_view>

namespace penumbra::oracle {
namespace {

struct Extension {
  ZydisISASet set;
  std::string_view option;
};

constexpr Extension kExtensions[] = {
#define EXTENSION(set, option) {ZYDIS_ISA_SET_##set, option},
#include "tests/oracle/isa_extensions.def"
#undef EXTENSION
};

constexpr std::string_view kOptions[] = {
#define PENUMBRA_FEATURE(name, option, leaf, subleaf, reg, bit) option,
#include "cpu/features.def"
#undef PENUMBRA_FEATURE
};

bool has_option(std::string_view option) {
  for (std::string_view known : kOptions)
    if (known == option) return true;
  return false;
}

bool supported(ZydisISASet set) {
  for (const Extension& extension : kExtensions)
    if (extension.set == set) return has_option(extension.option);
  return false;
}

ZydisDecoder decoder_of(CodeSize size) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder,
                   size == CodeSize::Long     ? ZYDIS_MACHINE_MODE_LONG_64
                   : size == CodeSize::Bits32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                                              : ZYDIS_MACHINE_MODE_LEGACY_16,
                   size == CodeSize::Long     ? ZYDIS_STACK_WIDTH_64
                   : size == CodeSize::Bits32 ? ZYDIS_STACK_WIDTH_32
                                              : ZYDIS_STACK_WIDTH_16);
  // Extensions that turn NOPs of older CPUs into instructions: without them they stay NOPs.
  for (auto mode : {ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET, ZYDIS_DECODER_MODE_CLDEMOTE})
    ZydisDecoderEnableMode(&decoder, mode, ZYAN_FALSE);
  return decoder;
}

std::optional<ZydisDecodedInstruction> decode_raw(std::span<const u8> bytes, CodeSize size) {
  ZydisDecoder decoder = decoder_of(size);
  ZydisDecodedInstruction in;
  auto status = ZydisDecoderDecodeInstruction(&decoder, nullptr, bytes.data(), bytes.size(), &in);
  if (ZYAN_FAILED(status)) return std::nullopt;
  return in;
}

}  // namespace

std::string missing_extension(std::span<const u8> bytes, CodeSize size) {
  auto in = decode_raw(bytes, size);
  if (!in || supported(in->meta.isa_set)) return {};
  return ZydisISASetGetString(in->meta.isa_set);
}

std::string first_missing_extension(std::span<const u8> block) {
  while (!block.empty()) {
    auto in = decode_raw(block, CodeSize::Long);
    if (!in) return {};
    if (!supported(in->meta.isa_set)) return ZydisISASetGetString(in->meta.isa_set);
    block = block.subspan(in->length);
  }
  return {};
}

}  // namespace penumbra::oracle
