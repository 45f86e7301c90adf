# cmake -DVARIABLE=NAME -DFILE=TEXT -DOUTPUT=FILE.c -P embed_text.cmake
#
# Writes the bytes of TEXT as `const char NAME[]`, ended by a zero. As numbers: compilers limit the length of literals.
cmake_minimum_required(VERSION 3.25)

file(READ ${FILE} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes
       "${bytes}")
file(WRITE ${OUTPUT} "extern const char ${VARIABLE}[];\nconst char ${VARIABLE}[] = {\n${bytes}0};\n")
