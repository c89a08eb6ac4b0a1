// Stencils as text for people who write them: assembly with the operands in the registers of the
// source, holes by name, and what the tables say of it.
#pragma once

#include "jit/stencil/extract/extract.h"

namespace penumbra::jit::extract {

std::string listing(const ExtractedStencil& stencil);

}  // namespace penumbra::jit::extract
