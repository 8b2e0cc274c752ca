# Makes the tables and structs of the API from src/model/schema/*.api (docs/schema.md) while building: target `schema`,
# sources in `generated_model`.
set(schema_folder ${CMAKE_SOURCE_DIR}/src/model/schema)
set(schema_output ${CMAKE_BINARY_DIR}/generated)
find_program(PYTHON3 python3 REQUIRED)
file(GLOB schema_texts CONFIGURE_DEPENDS ${schema_folder}/*.api)
set(schema_tools ${CMAKE_SOURCE_DIR}/tools/schema.py ${CMAKE_SOURCE_DIR}/tools/schema_text.py)
# How many sources there are depends on the texts.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${schema_texts} ${schema_tools})
execute_process(COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/tools/schema.py --list ${schema_folder}
                OUTPUT_VARIABLE schema_sources OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "the schema texts cannot be read")
endif()
list(TRANSFORM schema_sources PREPEND ${schema_output}/ OUTPUT_VARIABLE generated_model)
set(schema_headers ${generated_model})
list(FILTER schema_headers INCLUDE REGEX "/types/")
list(TRANSFORM schema_headers REPLACE "_[0-9]+\\.cpp$" ".h")
list(REMOVE_DUPLICATES schema_headers)
# The generator leaves unchanged files alone, so that little is compiled again; the stamp says that it has run.
add_custom_command(OUTPUT ${schema_output}/schema.stamp BYPRODUCTS ${generated_model} ${schema_headers}
                   COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/tools/schema.py ${schema_folder} ${schema_output}
                   COMMAND ${CMAKE_COMMAND} -E touch ${schema_output}/schema.stamp
                   DEPENDS ${schema_texts} ${schema_tools} COMMENT "schema")
add_custom_target(schema DEPENDS ${schema_output}/schema.stamp)
