
BprobabilitiesJ(™2>c¶ê<þú=;à>wÃÀ=i”=lz‹=«>¬}C>‹ža=