from .classifier import TextClassifier as TextClassifier
from .encoders import BidirectionalGRU as BidirectionalGRU
from .encoders import TextCNN as TextCNN
from .encoders import Transformer as Transformer
from .vocabulary import Vocabulary as Vocabulary
