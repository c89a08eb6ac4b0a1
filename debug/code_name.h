// What blocks of generated code are called in the tools of the host.
#pragma once

#include <string>

#include "common/host_code.h"

namespace penumbra::debug {

/// guest_PHYSICAL+MODE, e.g. guest_1a3f010+64-kernel: size of the code and who runs it.
std::string code_name(const HostCode& code);

}  // namespace penumbra::debug
