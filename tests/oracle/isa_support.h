// Whether the model has the ISA extension that an instruction belongs to.
//
// Decided from the extension alone (Zydis's ISA set), never from what the decoder or the engine
// accepts, so that an instruction which should work and does not is a failure.
#pragma once

#include <span>
#include <string>

#include "common/code_mode.h"

namespace penumbra::oracle {

/// The extension of the first instruction in `bytes` that the model lacks; empty: it has all.
std::string missing_extension(std::span<const u8> bytes, CodeSize size);
/// The first such extension in a block of 64-bit code; empty: the model has all.
std::string first_missing_extension(std::span<const u8> block);

}  // namespace penumbra::oracle
