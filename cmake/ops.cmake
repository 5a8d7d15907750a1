# One op is one vertical slice: the same stem in every room.

set_property(GLOBAL PROPERTY HIPFORGE_BUILT_OPS "")

function(add_op op)
  set(slice
      kernels/${op}.h kernels/${op}.hip reference/${op}.h reference/${op}.cpp harness/ops/${op}.h
      harness/ops/${op}.cpp tests/kernels/${op}_test.cpp tests/reference/${op}_test.cpp)
  foreach(file ${slice})
    if(NOT EXISTS ${PROJECT_SOURCE_DIR}/${file})
      list(APPEND missing ${file})
    endif()
  endforeach()
  if(missing)
    list(JOIN missing ", " names)
    message(FATAL_ERROR "add_op(${op}): the slice lacks ${names}")
  endif()
  if(NOT HIPFORGE_OPS OR op IN_LIST HIPFORGE_OPS)
    set_property(GLOBAL APPEND PROPERTY HIPFORGE_BUILT_OPS ${op})
  endif()
endfunction()
