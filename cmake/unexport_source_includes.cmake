# vmem_unexport_source_includes(<target>)
#
# Keep include folders below the source folder out of the exported target; the build itself still sees them. With a virtual
# environment in the checkout (.venv), NumPy's headers are such a folder, and CMake refuses to export it.
function(vmem_unexport_source_includes TARGET)
  get_target_property(folders ${TARGET} INTERFACE_INCLUDE_DIRECTORIES)
  set(kept)
  foreach(folder IN LISTS folders)
    cmake_path(IS_PREFIX CMAKE_CURRENT_SOURCE_DIR "${folder}" in_source)
    if(in_source)
      set(folder "$<BUILD_INTERFACE:${folder}>")
    endif()
    list(APPEND kept "${folder}")
  endforeach()
  set_target_properties(${TARGET} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
endfunction()
