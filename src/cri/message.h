// The CRI's messages are tables of fields (base/protobuf_message.h).
#pragma once
#include "base/protobuf_message.h"

namespace estiba::cri {

using protobuf::decode;
using protobuf::encode;
using protobuf::field;
using protobuf::Labels;
using protobuf::table;

}  // namespace estiba::cri
