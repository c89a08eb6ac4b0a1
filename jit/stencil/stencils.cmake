# Stencils: objects of one host level each, never sanitized, whose machine code the tool
# stencil_extract turns into tables (jit/stencil/stencil.h).
find_package(LLVM 19.1 CONFIG REQUIRED)

file(GLOB extract_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/jit/stencil/extract/*.cpp)
list(FILTER extract_sources EXCLUDE REGEX "/main\\.cpp$")
add_library(stencil_extraction STATIC ${extract_sources})
target_include_directories(stencil_extraction SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS})
target_link_libraries(stencil_extraction PUBLIC common Zydis::Zydis PRIVATE LLVM)
add_executable(stencil_extract ${CMAKE_SOURCE_DIR}/jit/stencil/extract/main.cpp)
target_link_libraries(stencil_extract stencil_extraction)

# An object library of stencils for a host level (x86-64-v2, x86-64-v3).
function(penumbra_stencil_objects target level)
  add_library(${target} OBJECT ${ARGN})
  target_compile_options(${target} PRIVATE -O3 -g0 -fno-sanitize=all -march=${level} -mrelax-all
    -mcmodel=small -fno-pic -fno-pie -ffunction-sections -fno-asynchronous-unwind-tables
    -fno-exceptions -fno-stack-protector -fcf-protection=none -fomit-frame-pointer -fno-jump-tables
    -mno-red-zone -mno-vzeroupper "SHELL:-Xclang -target-feature -Xclang -slow-3ops-lea")
endfunction()

# Writes FILE, which defines the tables NAME, from object libraries.
function(penumbra_stencil_tables file name)
  set(objects)
  foreach(target ${ARGN})
    list(APPEND objects $<TARGET_OBJECTS:${target}>)
  endforeach()
  add_custom_command(OUTPUT ${file}
    COMMAND stencil_extract ${name} ${file} ${objects}
    DEPENDS stencil_extract ${objects}
    COMMENT "Extracting stencils ${name}"
    COMMAND_EXPAND_LISTS VERBATIM)
endfunction()

# Compiles the project's stencils for every host level into the library.
function(penumbra_add_stencils library)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/jit/stencil/sources/*.cpp)
  foreach(level V2 V3)
    set(objects)
    if(sources)
      set(objects stencils_${level})
      string(TOLOWER x86-64-${level} march)
      penumbra_stencil_objects(stencils_${level} ${march} ${sources})
    endif()
    set(file ${CMAKE_BINARY_DIR}/stencils_${level}.cpp)
    penumbra_stencil_tables(${file} kStencils${level} ${objects})
    target_sources(${library} PRIVATE ${file})
  endforeach()
endfunction()
