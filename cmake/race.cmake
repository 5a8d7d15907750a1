# The race detector of the cpu platform: kernels compiled with the compiler's thread instrumentation, which calls our
# own runtime (kernels/platform/cpu/race) instead of the compiler's. Sets hipforge_race_options for kernel sources.

set(hipforge_race_options "")
if(NOT HIPFORGE_RACE)
  return()
endif()
if(HIPFORGE_SANITIZE)
  message(FATAL_ERROR "HIPFORGE_RACE and HIPFORGE_SANITIZE both instrument kernels: choose one")
endif()

# Volatile accesses are told apart; entering a function tells nothing.
list(APPEND hipforge_race_options -fsanitize=thread)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # The warning is about the compiler's own runtime, which does not know fences; ours does.
  list(APPEND hipforge_race_options --param=tsan-distinguish-volatile=1 --param=tsan-instrument-func-entry-exit=0
       -Wno-tsan -include ${CMAKE_CURRENT_SOURCE_DIR}/kernels/platform/cpu/include/hipforge_cpu/memory_calls.h)
else()
  foreach(option tsan-distinguish-volatile=1 tsan-instrument-func-entry-exit=0 tsan-compound-read-before-write=1)
    list(APPEND hipforge_race_options "SHELL:-mllvm -${option}")
  endforeach()
endif()
# Lines, and which inlined call they came by.
list(APPEND hipforge_race_options $<IF:$<CXX_COMPILER_ID:GNU>,-g1,-gmlt>)

# The library that reads line numbers comes with g++ itself.
foreach(part include/backtrace.h libbacktrace.a)
  foreach(compiler ${CMAKE_CXX_COMPILER} g++)
    execute_process(COMMAND ${compiler} -print-file-name=${part} OUTPUT_VARIABLE file OUTPUT_STRIP_TRAILING_WHITESPACE
                    ERROR_QUIET)
    if(IS_ABSOLUTE "${file}" AND EXISTS "${file}")
      break()
    endif()
    set(file "")
  endforeach()
  list(APPEND hipforge_backtrace ${file})
endforeach()
list(LENGTH hipforge_backtrace found)
if(NOT found EQUAL 2)
  message(STATUS "No libbacktrace beside g++: races are told by module and offset, for addr2line, not by source line")
  set(hipforge_backtrace "")
endif()
