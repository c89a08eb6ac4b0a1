// Instruction encodings, enumerated systematically and then instantiated at random.
//
// A Form fixes what selects an instruction (map, opcode, mandatory prefix, REX.W, VEX.L, the ModRM
// reg field, register or memory); instantiate() draws registers, addressing and immediates.
#pragma once

#include <map>
#include <random>
#include <vector>

#include "common/code_mode.h"
#include "frontend/instruction.h"

namespace penumbra::oracle {

using Random = std::mt19937_64;

enum class OpcodeMap : u8 { Primary, Map0f, Map0f38, Map0f3a };

struct Form {
  OpcodeMap map;
  u8 opcode;
  u8 prefix;  ///< mandatory or operand-size prefix: 0, 66h, F2h, F3h
  bool w;     ///< REX.W or VEX.W
  bool vex;
  bool l;             ///< VEX.L
  u8 reg;             ///< ModRM.reg
  u8 rm;              ///< ModRM.rm where it selects (x87, 0F 01, 0F AE), else 1
  bool memory;        ///< ModRM is memory
  bool vsib = false;  ///< with a SIB byte whose index is a vector
};

struct Drawn {
  std::vector<u8> bytes;
  frontend::Instruction instruction;
};

Drawn decoded(std::vector<u8> bytes, CodeSize size);

/// The code mode that enumeration decodes in: protected mode of that size.
CodeMode user_mode(CodeSize size);

/// The plain instance of a form: registers 0 and 1, or memory at [rBX + 10h].
std::vector<u8> plain(const Form& form, CodeSize size);

/// Forms by mnemonic, in a fixed order; every decodable combination that selects differently.
std::map<frontend::Mnemonic, std::vector<Form>> enumerate_forms(CodeSize size);

/// Every combination, decodable or not.
std::vector<Form> all_forms(CodeSize size);

/// An instance of `form` with random registers, addressing form and immediates that decodes to the
/// same mnemonic.
Drawn instantiate(const Form& form, frontend::Mnemonic mnemonic, CodeSize size, Random& random);

}  // namespace penumbra::oracle
