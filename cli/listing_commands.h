// `penumbra disasm` and `penumbra dump`: what the front end and the translator make of code.
#pragma once

#include "cli/option_table.h"

namespace penumbra::cli {

const Command& disasm_command();
const Command& dump_command();

/// The exit statuses.
int disassemble(const Arguments& arguments);
int dump(const Arguments& arguments);

/// Code as a user gives it: hex digits with or without spaces, or the name of a file that exists.
std::expected<std::vector<u8>, std::string> parse_code(const std::vector<std::string>& words);

}  // namespace penumbra::cli
